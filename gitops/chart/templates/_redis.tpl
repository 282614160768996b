{{/*
Redis, from the official image. At lite nothing is written to disk and everybody who reaches it is let in; above, writes
are kept and a password is asked for. redis-cli takes the same variable. Takes root and store.
*/}}
{{- define "store.redis" -}}
args:
  - redis-server
  - --dir
  - /data
  - --save
  - ""
  {{- if eq .root.Values.tier "lite" }}
  - --protected-mode
  - "no"
  {{- else }}
  - --appendonly
  - "yes"
  - --requirepass
  - $(REDISCLI_AUTH)
env:
  - name: REDISCLI_AUTH
    {{- include "store.password" . | nindent 4 }}
  {{- end }}
# redis-cli exits with 0 whatever the server answers.
{{- $asked := dict "exec" (dict "command" (list "sh" "-c" "test \"$(redis-cli -h 127.0.0.1 ping)\" = PONG")) }}
{{- include "store.probes" (dict "startup" $asked "running" $asked) }}
{{- end }}
