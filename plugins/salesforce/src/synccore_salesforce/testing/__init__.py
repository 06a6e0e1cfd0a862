"""A strict Salesforce org on loopback.

with FakeSalesforce() as org:
    org.add_field("Contact", "WooId__c", length=80, external_id=True, unique=True)
    config = {"type": "salesforce", "login_url": org.url, "client_id": org.client_id, ...}
"""

from .model import FieldDef, RowRefused
from .org import Org
from .server import FakeSalesforce

__all__ = ["FakeSalesforce", "FieldDef", "Org", "RowRefused"]
