// Reads {"cases": [...]} from standard input, decides each case and prints the decisions in the same order.
// A case: principal (ARN, service name, or null for an unsigned request), identityPolicies, resourcePolicy, action,
// resource, owner (the resource's account), context, unchecked.
//
// The checked simulator refuses malformed policies and reports context keys that it drops because the action does not
// take them. It knows no condition keys of private OIDC issuers, so a trust policy is decided unchecked, which gives
// no statement ids.
import { text } from 'node:stream/consumers'
import { anonymousPrincipal, runSimulation, runUnsafeSimulation } from '@cloud-copilot/iam-simulate'

const sids = (statements = []) => statements.map((each) => each.statement.sid())

function simulation(given) {
  return {
    request: {
      principal: given.principal ?? anonymousPrincipal,
      action: given.action,
      resource: { resource: given.resource, accountId: given.owner },
      contextVariables: given.context,
    },
    identityPolicies: given.identityPolicies.map((policy, index) => ({ name: `identity${index}`, policy })),
    resourcePolicy: given.resourcePolicy ?? undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  }
}

async function decide(given) {
  if (given.unchecked) return { result: runUnsafeSimulation(simulation(given), {}), allows: [], denies: [], ignored: [] }
  const outcome = await runSimulation(simulation(given), {})
  if (outcome.resultType !== 'single') return { error: outcome }
  const { identityAnalysis: identity, resourceAnalysis: resource } = outcome.result.analysis
  return {
    result: outcome.overallResult,
    allows: [...sids(identity?.allowStatements), ...sids(resource?.allowStatements)],
    denies: [...sids(identity?.denyStatements), ...sids(resource?.denyStatements)],
    ignored: outcome.result.ignoredContextKeys,
  }
}

const { cases } = JSON.parse(await text(process.stdin))
process.stdout.write(JSON.stringify(await Promise.all(cases.map(decide))))
