{{/* Pods of this environment, by labels: what stands in from or to. Takes name and component. */}}
{{- define "service.pods" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ .name | quote }}
      app.kubernetes.io/component: {{ .component | quote }}
{{- end }}

{{/* All pods of another namespace; the label is set by the API server and cannot be changed. */}}
{{- define "service.namespace" -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ . | quote }}
{{- end }}

{{/* Everything outside: not the networks that clusters, machines and their metadata services are in. */}}
{{- define "service.outside" -}}
- ipBlock:
    cidr: 0.0.0.0/0
    except:
      - 10.0.0.0/8
      - 100.64.0.0/10
      - 169.254.0.0/16
      - 172.16.0.0/12
      - 192.168.0.0/16
{{- end }}

{{/* What a rule opens, as JSON: TCP, the ports of an array. */}}
{{- define "service.ports" -}}
{{- $opened := list -}}
{{- range . -}}
{{- $opened = append $opened (dict "protocol" "TCP" "port" (int .)) -}}
{{- end -}}
{{- toJson $opened -}}
{{- end }}

{{/* The ports outside that the service calls, as a JSON array: 443 is the cloud's, for its role and its objects. */}}
{{- define "service.outsidePorts" -}}
{{- $ports := dict -}}
{{- range .Values.dependencies.external -}}
{{- $_ := set $ports (int .port | toString) (int .port) -}}
{{- end -}}
{{- if or .Values.endpoints.role.enabled (and .Values.dependencies.objects.enabled (ne .Values.tier "lite")) -}}
{{- $_ := set $ports "443" 443 -}}
{{- end -}}
{{- keys $ports | sortAlpha | toJson -}}
{{- end }}

{{/* What the service may call: other services, the stores of its tier, and the ports it declares outside. */}}
{{- define "service.egress" -}}
{{- range $name, $called := .Values.dependencies.services }}
- to:
    {{- include "service.pods" (dict "name" $name "component" "service") | nindent 4 }}
  ports: {{ include "service.ports" (list $called.port) }}
{{- end }}
{{- include "service.toStores" (include "service.stores" . | fromJsonArray) }}
{{- include "service.toManaged" .Values.endpoints.stores }}
{{- include "service.toOutside" (include "service.outsidePorts" . | fromJsonArray) }}
{{- end }}

{{/* What fills the service's stores may call: those stores, and the cloud where the objects are there. */}}
{{- define "service.seedEgress" -}}
{{- include "service.toStores" (include "service.seededStores" . | fromJsonArray) }}
{{- include "service.toManaged" (pick .Values.endpoints.stores (include "service.seededStore" .)) }}
{{- if and .Values.dependencies.objects.enabled (ne .Values.tier "lite") }}
{{- include "service.toOutside" (list 443) }}
{{- end }}
{{- end }}

{{/* Rules that open stores of this environment; takes an array of them. */}}
{{- define "service.toStores" -}}
{{- range . }}
- to:
    {{- include "service.pods" (dict "name" .owner "component" .name) | nindent 4 }}
  ports: {{ include "service.ports" (list .port) }}
{{- end }}
{{- end }}

{{/* Rules that open stores somebody else runs; takes them by name, in whose order they come out. */}}
{{- define "service.toManaged" -}}
{{- range . }}
- to:
    - ipBlock:
        cidr: {{ .cidr | quote }}
  ports: {{ include "service.ports" (list .port) }}
{{- end }}
{{- end }}

{{/* The rule that opens ports outside; takes an array of them, of which there may be none. */}}
{{- define "service.toOutside" -}}
{{- with . }}
- to:
    {{- include "service.outside" . | nindent 4 }}
  ports: {{ include "service.ports" . }}
{{- end }}
{{- end }}
