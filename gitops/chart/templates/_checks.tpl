{{/*
What the schema cannot say and would render into something that cannot run: every such thing at once, a line for each,
its path first. The contract refuses all of it before it comes here; this is for whoever calls Helm by hand.
*/}}
{{- define "service.checks" -}}
{{- $wrong := list -}}
{{- range list "service.wrongShape" "service.wrongStores" "service.wrongSeed" "service.wrongInstance" -}}
{{- $wrong = include . $ | fromJsonArray | concat $wrong -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (join "\n" $wrong) -}}
{{- end -}}
{{- end }}

{{- define "service.wrongShape" -}}
{{- $values := .Values -}}
{{- $ports := $values.service.ports -}}
{{- $replicas := $values.scale.replicas -}}
{{- $wrong := list -}}
{{- if not (hasKey $ports "metrics") -}}
{{- $wrong = append $wrong "service.ports: lacks metrics, the port Prometheus reads" -}}
{{- end -}}
{{- if not (hasKey $ports $values.service.probes.port) -}}
{{- $wrong = append $wrong (printf "service.probes.port: %s is not in service.ports" $values.service.probes.port) -}}
{{- end -}}
{{- if and (or $values.ingress.public $values.ingress.callers) (not (hasKey $ports "http")) -}}
{{- $wrong = append $wrong "service.ports: lacks http, the port that the callers in ingress need" -}}
{{- end -}}
{{- if lt (int $replicas.max) (int $replicas.min) -}}
{{- $wrong = append $wrong (printf "scale.replicas.max: %d is less than min, %d" (int $replicas.max) (int $replicas.min)) -}}
{{- end -}}
{{- if ge (int $values.scale.minAvailable) (int $replicas.min) -}}
{{- $wrong = append $wrong (printf "scale.minAvailable: %d of %d pods leaves none for a drain to take" (int $values.scale.minAvailable) (int $replicas.min)) -}}
{{- end -}}
{{- if and $values.rollout.analysis.enabled (not $values.rollout.canary) -}}
{{- $wrong = append $wrong "rollout.analysis: there is no step in rollout.canary to be measured" -}}
{{- end -}}
{{- range $name, $external := $values.dependencies.external -}}
{{- if not (hasKey $values.endpoints.external $name) -}}
{{- $wrong = append $wrong (printf "endpoints.external: lacks %s, which dependencies.external names" $name) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end }}

{{- define "service.wrongStores" -}}
{{- $values := .Values -}}
{{- $objects := $values.dependencies.objects -}}
{{- $wrong := list -}}
{{- range $name, $store := $values.dependencies.stores -}}
{{- if has $name (list "service" "objects" "seed") -}}
{{- $wrong = append $wrong (printf "dependencies.stores: %s is another component's name" $name) -}}
{{- end -}}
{{- $managed := hasKey $values.endpoints.stores $name -}}
{{- if and (eq $values.tier "full") (not $managed) -}}
{{- $wrong = append $wrong (printf "endpoints.stores: lacks %s, which somebody else runs at tier full" $name) -}}
{{- else if and $managed (ne $values.tier "full") -}}
{{- $wrong = append $wrong (printf "endpoints.stores: %s is run by this chart at tier %s" $name $values.tier) -}}
{{- end -}}
{{- end -}}
{{- if and $objects.enabled (ne $values.tier "lite") -}}
{{- range $name, $access := $objects.buckets -}}
{{- if not (hasKey $values.endpoints.buckets $name) -}}
{{- $wrong = append $wrong (printf "endpoints.buckets: lacks %s, which dependencies.objects.buckets names" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $objects.enabled (eq $values.tier "lite") -}}
{{- range $name, $access := $objects.buckets -}}
{{- if lt (len $name) 3 -}}
{{- $wrong = append $wrong (printf "dependencies.objects.buckets: %s is shorter than 3, and at tier lite a bucket's name" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range include "service.stores" . | fromJsonArray -}}
{{- if gt (len .host) 52 -}}
{{- $wrong = append $wrong (printf "dependencies.stores: %s is longer than 52, which a StatefulSet's name may be" .host) -}}
{{- end -}}
{{- end -}}
{{- range include "service.broughtStores" . | fromJsonArray -}}
{{- if not (hasKey $values.scale.stores .name) -}}
{{- $wrong = append $wrong (printf "scale.stores: lacks %s, which this service brings at tier %s" .name $values.tier) -}}
{{- end -}}
{{- $password := include "service.passwordName" .name -}}
{{- if not (or (eq $values.tier "lite") (hasKey $values.secrets $password)) -}}
{{- $wrong = append $wrong (printf "secrets: lacks %s, which opens the store %s" $password .name) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end }}

{{- define "service.wrongSeed" -}}
{{- $values := .Values -}}
{{- $wrong := list -}}
{{- if $values.seed.enabled -}}
{{- $name := include "service.seededStore" . -}}
{{- $store := get $values.dependencies.stores $name | default dict -}}
{{- if not (and (eq ($store.engine | default "") "postgresql") (eq ($store.owner | default "") .Release.Name)) -}}
{{- $wrong = append $wrong (printf "seed.enabled: %s in dependencies.stores is not PostgreSQL of this service" $name) -}}
{{- end -}}
{{- $password := include "service.passwordName" $name -}}
{{- if and (eq $values.tier "full") (not (hasKey $values.secrets $password)) -}}
{{- $wrong = append $wrong (printf "secrets: lacks %s, which opens the store %s" $password $name) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end }}

{{- define "service.wrongInstance" -}}
{{- $wrong := list -}}
{{- if and .Values.instance .Values.ingress.public -}}
{{- range $name, $host := .Values.endpoints.hosts -}}
{{- if not (has $.Values.instance.placeholder (splitList "." $host)) -}}
{{- $wrong = append $wrong (printf "endpoints.hosts.%s: %s has no label %s, which instance replaces" $name $host $.Values.instance.placeholder) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end }}
