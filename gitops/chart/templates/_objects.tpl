{{/*
A throwaway S3-compatible store: SeaweedFS, all of it in one process. It knows no identity, so that any key opens it;
all but S3 listens on loopback. Nobody without an identity makes a bucket by uploading, so the owner's are made as soon
as it answers, and it has started when the last is there. Takes root and store.
*/}}
{{- define "store.s3" -}}
command:
  - sh
  - -ec
args:
  - |
    for bucket in {{ .store.buckets | join " " }}; do
      until echo s3.bucket.list | weed -logtostderr=true shell -master=127.0.0.1:9333 | grep -Eq "^ *$bucket[[:space:]]"; do
        echo "s3.bucket.create -name $bucket" | weed -logtostderr=true shell -master=127.0.0.1:9333
        sleep 1
      done
    done &
    exec weed -logtostderr=true server -dir=/data -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false \
      -master.volumeSizeLimitMB=64 -volume.max=0 -s3 -s3.ip.bind=0.0.0.0 -s3.port={{ int .store.port }}
{{- $made := dict "httpGet" (dict "path" (printf "/%s" (last .store.buckets)) "port" "s3") }}
{{- include "store.probes" (dict "startup" $made "running" (dict "httpGet" (dict "path" "/healthz" "port" "s3"))) }}
{{- end }}
