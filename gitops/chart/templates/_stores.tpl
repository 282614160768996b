{{/* The port an engine listens on, where this chart runs it. */}}
{{- define "service.enginePort" -}}
{{ get (dict "postgresql" 5432 "redis" 6379 "s3" 8333) . }}
{{- end }}

{{/*
The stores that run beside the services and that this service uses, its own or another's, as a JSON array. At tier full
there are none: somebody else runs them. Objects are kept in the environment's buckets above lite.
*/}}
{{- define "service.stores" -}}
{{- $used := list -}}
{{- if ne .Values.tier "full" -}}
{{- range $name, $store := .Values.dependencies.stores -}}
{{- $used = append $used (dict "name" $name "owner" $store.owner "engine" $store.engine "image" $store.image) -}}
{{- end -}}
{{- end -}}
{{- with .Values.dependencies.objects -}}
{{- if and .enabled (eq $.Values.tier "lite") -}}
{{- $used = append $used (dict "name" "objects" "owner" .owner "engine" "s3" "image" .image "buckets" (keys .buckets | sortAlpha)) -}}
{{- end -}}
{{- end -}}
{{- $all := list -}}
{{- range $used -}}
{{- $host := printf "%s-%s" .owner .name -}}
{{- $more := dict "host" $host "label" (printf "ladder.internal/store-%s" $host) "port" (include "service.enginePort" .engine | int) -}}
{{- $all = append $all (merge . $more) -}}
{{- end -}}
{{- toJson $all -}}
{{- end }}

{{/* Those of them that this service brings. */}}
{{- define "service.broughtStores" -}}
{{- $brought := list -}}
{{- range include "service.stores" . | fromJsonArray -}}
{{- if eq .owner $.Release.Name -}}
{{- $brought = append $brought . -}}
{{- end -}}
{{- end -}}
{{- toJson $brought -}}
{{- end }}

{{/* The store that synthetic data is filled into, beside the objects. */}}
{{- define "service.seededStore" -}}
database
{{- end }}

{{/* Those of the stores that run beside the services which synthetic data is filled into. */}}
{{- define "service.seededStores" -}}
{{- $filled := list -}}
{{- range include "service.stores" . | fromJsonArray -}}
{{- if has .name (list (include "service.seededStore" .) "objects") -}}
{{- $filled = append $filled . -}}
{{- end -}}
{{- end -}}
{{- toJson $filled -}}
{{- end }}

{{/* The variable that opens a store; takes the store's name. */}}
{{- define "service.passwordName" -}}
{{ printf "%s_PASSWORD" (include "service.upper" .) }}
{{- end }}

{{/* Where a store's password is: the service's Secret has it by the store's name. Takes root and store. */}}
{{- define "store.password" -}}
valueFrom:
  secretKeyRef:
    name: {{ .root.Release.Name | quote }}
    key: {{ include "service.passwordName" .store.name | quote }}
{{- end }}

{{/* The three probes; a restart comes later than unreadiness. Takes the questions: startup, and running for both others. */}}
{{- define "store.probes" -}}
{{- range $kind, $times := dict "startup" (list 2 60) "liveness" (list 10 6) "readiness" (list 5 2) }}
{{ $kind }}Probe:
  {{- eq $kind "startup" | ternary $.startup $.running | toYaml | nindent 2 }}
  periodSeconds: {{ first $times }}
  failureThreshold: {{ last $times }}
  timeoutSeconds: 5
{{- end }}
{{- end }}
