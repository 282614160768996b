module ladder.example/sandbox/crds

go 1.26.0

require (
	github.com/argoproj/argo-cd/v3 v3.6.1
	github.com/argoproj/argo-rollouts v1.10.2
	github.com/external-secrets/external-secrets v1.3.2
	sigs.k8s.io/gateway-api v1.7.0
)
