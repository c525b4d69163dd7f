"""Names as the register has them, and sites, made where they are not there."""

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from collector.errors import RegisterError
from collector.register.models import CustomerRow, SiteRow


def slug(name: str) -> str:
    """Return a name as it stands in `instance`: lower case, letters, digits and dashes, at most 63.

    Raises:
        RegisterError: nothing is left of it.
    """
    short = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].rstrip("-")
    if not short:
        raise RegisterError(f"{name!r} cannot be a name: it has no letter and no digit.")
    return short


def made_site(session: Session, customer: str, site: str) -> SiteRow:
    """Return the site, made with its customer where they are not there."""
    owner = session.scalars(select(CustomerRow).where(CustomerRow.slug == slug(customer))).one_or_none()
    if owner is None:
        owner = CustomerRow(slug=slug(customer), name=customer[:200])
        session.add(owner)
        session.flush()
    query = select(SiteRow).where(SiteRow.customer_id == owner.id, SiteRow.slug == slug(site))
    found = session.scalars(query).one_or_none()
    if found is None:
        found = SiteRow(customer_id=owner.id, slug=slug(site), name=site[:200])
        session.add(found)
        session.flush()
    return found
