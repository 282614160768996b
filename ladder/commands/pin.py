"""``ladder pin``"""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ladder import project
from ladder.options import DIGEST, LOGIN


@click.command("pin")
@click.argument("service", metavar="SERVICE")
@click.option("--digest", metavar="DIGEST", type=DIGEST, required=True, help="the image's digest, sha256:…")
@click.option("--by", metavar="LOGIN", type=LOGIN, envvar="GITHUB_ACTOR", help="who asks; by default GITHUB_ACTOR")
@click.option("--onto", metavar="BRANCH", help="the branch of a pull request that brings a new service")
@click.option("--dry-run", is_flag=True, help="verify, and show what would change; sign and push nothing")
@click.option("--base", metavar="REF", help="the commit to stand on; by default the delivered branch at the remote")
@click.option("--remote", default="origin", show_default=True)
def command(
    service: str, digest: str, by: str | None, onto: str | None, dry_run: bool, base: str | None, remote: str
) -> None:
    """Let a build enter dev: what is signed, listed and built by the one workflow that may, and nothing older.

    The commit that it was built of is told by its provenance. Stated on the delivered branch, with dev's digest in the
    same commit. Exit codes: 0 it is in dev, 1 it may not enter, 2 bad input.
    """
    from ladder.promotion.builds import Referrers, verify_build
    from ladder.promotion.github import github
    from ladder.promotion.ground import base_of, standing
    from ladder.promotion.pin import docker_credentials, pin
    from ladder.promotion.publish import push_commit, signed_file
    from ladder.promotion.sigstore import Signing, Trust

    root = project.root()
    stands_on = f"refs/remotes/{remote}/{onto}" if onto else base or base_of(root, remote)
    with standing(root, stands_on) as ground:
        builds = ground.promotion.builds
        referrers = Referrers(docker_credentials(), builds.tokens)
        trust = Trust.of(ground.project, ground.promotion.sigstore)
        with github(ground.promotion.github.api, builds.signer.repository) as asked:
            entering = pin(
                ground,
                service,
                digest,
                by=by,
                at=datetime.now(UTC),
                build_of=lambda image, of: verify_build(trust, builds, referrers.bundles(image, of), of),
                compare=asked.compare,
            )
        if entering is None:
            click.echo(f"{service} has {digest} already")
            return
        source = entering.request.source
        click.echo(f"{service}: image {digest}" + (f", built of {source.commit} by {source.run}" if source else ""))
        if dry_run:
            return
        signed = signed_file(ground, entering.request, Signing.of(ground.project, ground.promotion.sigstore).sign)
        branch = onto or ground.delivery.branch
        commit = push_commit(ground, remote, branch, {**entering.files, **signed}, f"Pin {service}")
    click.echo(f"stated in {commit}", err=True)
