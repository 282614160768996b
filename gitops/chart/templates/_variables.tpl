{{/* The part of a variable's name that a name of the values makes: new-search becomes NEW_SEARCH. */}}
{{- define "service.upper" -}}
{{ . | upper | replace "-" "_" }}
{{- end }}

{{/*
Every variable but the secret ones, as a JSON object of strings. ladder/variables.py says the same in Python: the local
rung uses that, and a test holds the two together.
*/}}
{{- define "service.variables" -}}
{{- $values := .Values -}}
{{- $named := dict "AWS_REGION" $values.endpoints.region -}}
{{- range $name, $port := $values.service.ports -}}
{{- $_ := set $named (eq $name "http" | ternary "PORT" "METRICS_PORT") (int $port | toString) -}}
{{- end -}}
{{- range $name, $called := $values.dependencies.services -}}
{{- $_ := set $named (printf "%s_URL" (include "service.upper" $name)) (printf "http://%s:%d" $name (int $called.port)) -}}
{{- end -}}
{{- range $name, $store := $values.dependencies.stores -}}
{{- $prefix := include "service.upper" $name -}}
{{- $managed := get $values.endpoints.stores $name | default dict -}}
{{- $_ := set $named (printf "%s_HOST" $prefix) ($managed.host | default (printf "%s-%s" $store.owner $name)) -}}
{{- $_ := set $named (printf "%s_PORT" $prefix) (int ($managed.port | default (include "service.enginePort" $store.engine)) | toString) -}}
{{- if eq $store.engine "postgresql" -}}
{{- $_ := set $named (printf "%s_NAME" $prefix) $store.owner -}}
{{- $_ := set $named (printf "%s_USER" $prefix) $store.owner -}}
{{- end -}}
{{- end -}}
{{- $_ := include "service.objectVariables" . | fromJson | merge $named -}}
{{- range $name, $alias := $values.endpoints.keys -}}
{{- $_ := set $named (printf "KEY_%s" (include "service.upper" $name)) $alias -}}
{{- end -}}
{{- range $name, $url := $values.endpoints.external -}}
{{- $_ := set $named (printf "%s_URL" (include "service.upper" $name)) $url -}}
{{- end -}}
{{- range $name, $on := $values.features -}}
{{- $_ := set $named (printf "FEATURE_%s" (include "service.upper" $name)) (toString $on) -}}
{{- end -}}
{{- toJson $named -}}
{{- end }}

{{/* Where objects are kept. The throwaway store takes any key, and SDKs ask for one. */}}
{{- define "service.objectVariables" -}}
{{- $values := .Values -}}
{{- $objects := $values.dependencies.objects -}}
{{- $lite := eq $values.tier "lite" -}}
{{- $named := dict -}}
{{- if $objects.enabled -}}
{{- range $name, $access := $objects.buckets -}}
{{- $bucket := $lite | ternary $name (get $values.endpoints.buckets $name) -}}
{{- $_ := set $named (printf "BUCKET_%s" (include "service.upper" $name)) $bucket -}}
{{- end -}}
{{- if $lite -}}
{{- $_ := set $named "AWS_ENDPOINT_URL_S3" (printf "http://%s-objects:%s" $objects.owner (include "service.enginePort" "s3")) -}}
{{- $_ := set $named "AWS_ACCESS_KEY_ID" "throwaway" -}}
{{- $_ := set $named "AWS_SECRET_ACCESS_KEY" "throwaway" -}}
{{- end -}}
{{- end -}}
{{- toJson $named -}}
{{- end }}

{{/* What the stores are filled with: libpq's names for the database, and where objects are kept, as for the service. */}}
{{- define "service.seedVariables" -}}
{{- $own := include "service.variables" . | fromJson -}}
{{- $named := dict "AWS_REGION" $own.AWS_REGION -}}
{{- $prefix := include "service.upper" (include "service.seededStore" .) -}}
{{- range $variable, $part := dict "PGHOST" "HOST" "PGPORT" "PORT" "PGUSER" "USER" "PGDATABASE" "NAME" -}}
{{- $_ := set $named $variable (get $own (printf "%s_%s" $prefix $part)) -}}
{{- end -}}
{{- include "service.objectVariables" . | fromJson | merge $named | toJson -}}
{{- end }}
