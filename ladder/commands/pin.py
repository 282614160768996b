"""``ladder pin``"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime

import click

from ladder import project
from ladder.options import BRANCH, DIGEST, LOGIN


@click.command("pin")
@click.argument("service", metavar="SERVICE")
@click.option("--digest", metavar="DIGEST", type=DIGEST, required=True, help="the image's digest, sha256:…")
@click.option("--by", metavar="LOGIN", type=LOGIN, envvar="GITHUB_ACTOR", help="who asks; by default GITHUB_ACTOR")
@click.option("--onto", metavar="BRANCH", type=BRANCH, help="the branch of a pull request that brings a new service")
@click.option("--dry-run", is_flag=True, help="verify, and show what would change; sign and push nothing")
@click.option("--base", metavar="REF", help="the commit to stand on; by default the delivered branch at the remote")
@click.option("--remote", default="origin", show_default=True)
def command(
    service: str, digest: str, by: str | None, onto: str | None, dry_run: bool, base: str | None, remote: str
) -> None:
    """Let a build enter dev: what is signed, listed and built by the one workflow that may, and nothing older.

    The commit that it was built of is told by its provenance. Stated on the delivered branch, with dev's digest in the
    same commit; with --onto on that branch, which is what is changed, by the delivered branch's rules. Exit codes: 0 it
    is in dev, 1 it may not enter, 2 bad input.
    """
    from ladder.promotion.builds import Build, Referrers, verify_build
    from ladder.promotion.github import BUILDS_VARIABLE, Standing, github
    from ladder.promotion.ground import base_of, standing
    from ladder.promotion.pin import docker_credentials, on_branch, pin
    from ladder.promotion.publish import push_commit, signed_file
    from ladder.promotion.sigstore import Signing, Trust

    root = project.root()
    with ExitStack() as held:
        rules = ground = held.enter_context(standing(root, base or base_of(root, remote)))
        if onto is not None:
            ground = held.enter_context(on_branch(rules, remote, onto))
        builds, sigstore = rules.promotion.builds, rules.promotion.sigstore
        trust, referrers = Trust.of(rules.project, sigstore), Referrers(docker_credentials(), builds.tokens)

        def build_of(image: str, of: str) -> Build:
            return verify_build(trust, builds, referrers.bundles(image, of), of)

        def compare(old: str, new: str) -> Standing:
            with github(rules.promotion.github.api, builds.signer.repository, instead=BUILDS_VARIABLE) as asked:
                return asked.compare(old, new)

        now = datetime.now(UTC)
        entering = pin(ground, service, digest, by=by, at=now, build_of=build_of, compare=compare)
        if entering is None:
            click.echo(f"{service} has {digest} already")
            return
        source = entering.request.source
        click.echo(f"{service}: image {digest}" + (f", built of {source.commit} by {source.run}" if source else ""))
        if entering.note:
            click.echo(entering.note)
        if dry_run:
            return
        # Whoever wrote the branch does not say to whom the identity of what signs is shown.
        signed = signed_file(ground, entering.request, Signing.of(rules.project, sigstore).sign)
        branch = onto or ground.delivery.branch
        commit = push_commit(ground, remote, branch, {**entering.files, **signed}, f"Pin {service}")
    click.echo(f"stated in {commit}", err=True)
