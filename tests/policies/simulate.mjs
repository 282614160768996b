// Reads {"cases": [...]} from standard input, decides each case and prints the outcomes in the same order.
// A case: principal (ARN, service name, or null for an unsigned request), identityPolicies, resourcePolicy, action,
// resource, owner (the resource's account), context.
// An outcome: result, the Sids of the statements that allowed and denied, and the context keys that were dropped
// because the action does not take them; or an error.
import { text } from 'node:stream/consumers'
import { anonymousPrincipal, runSimulation } from '@cloud-copilot/iam-simulate'

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
  const outcome = await runSimulation(simulation(given), {})
  if (outcome.resultType !== 'single') return { error: JSON.stringify(outcome) }
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
