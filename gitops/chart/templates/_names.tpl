{{/* The selector of an object's pods; never changes for what runs. Takes root and component. */}}
{{- define "service.selector" -}}
app.kubernetes.io/name: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end }}

{{/* The labels of a pod: nothing that a new version of the chart alone would change. Takes root and component. */}}
{{- define "service.labels" -}}
{{ include "service.selector" . }}
app.kubernetes.io/part-of: environment-ladder
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
{{- end }}

{{/*
An object's metadata. Takes root, component, name, and where there are any wave (the order in which Argo CD syncs) and
annotations. The namespace is the one the release is for; the chart never knows it.
*/}}
{{- define "service.metadata" -}}
{{- $annotations := .annotations | default dict -}}
{{- with .wave -}}
{{- $_ := set $annotations "argocd.argoproj.io/sync-wave" . -}}
{{- end -}}
name: {{ .name | quote }}
labels:
  {{- include "service.labels" . | nindent 2 }}
  helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | quote }}
{{- with $annotations }}
annotations:
  {{- range $name, $value := . }}
  {{ $name | quote }}: {{ $value | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The hosts the service answers at, as a JSON array: of many copies of an environment, each has its own. */}}
{{- define "service.hosts" -}}
{{- $instance := .Values.instance | default dict -}}
{{- $hosts := list -}}
{{- range .Values.endpoints.hosts -}}
{{- $labels := list -}}
{{- range splitList "." . -}}
{{- $labels = append $labels (eq . ($instance.placeholder | default "") | ternary $instance.name .) -}}
{{- end -}}
{{- $hosts = append $hosts (join "." $labels) -}}
{{- end -}}
{{- sortAlpha $hosts | toJson -}}
{{- end }}
