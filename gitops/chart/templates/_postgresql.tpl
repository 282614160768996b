{{/*
PostgreSQL, from the official image. The user and the database are named after the store's owner. At lite everybody who
reaches it is let in; above, whoever has the password. Takes root and store.
*/}}
{{- define "store.postgresql" -}}
env:
  - name: POSTGRES_USER
    value: {{ .store.owner | quote }}
  - name: POSTGRES_DB
    value: {{ .store.owner | quote }}
  # A folder of the volume: the volume's own may hold lost+found, and belongs to another user.
  - name: PGDATA
    value: /data/postgresql
  {{- if eq .root.Values.tier "lite" }}
  - name: POSTGRES_HOST_AUTH_METHOD
    value: trust
  {{- else }}
  - name: POSTGRES_PASSWORD
    {{- include "store.password" . | nindent 4 }}
  {{- end }}
# Over TCP: while the image sets a new database up, the server listens on its socket only.
{{- $asked := dict "exec" (dict "command" (list "pg_isready" "--quiet" "--host=127.0.0.1" (printf "--username=%s" .store.owner) (printf "--dbname=%s" .store.owner))) }}
{{- include "store.probes" (dict "startup" $asked "running" $asked) }}
{{- end }}
