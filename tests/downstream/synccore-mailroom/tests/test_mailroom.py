"""The downstream plugin against the contract."""

from synccore_mailroom.sink import SINK

from synccore.testing import LoopbackServer, Reply, SinkContract


class FakeMailroom(LoopbackServer):
    def __init__(self):
        self.recipients, self.refused = {}, set()
        super().__init__()

    def handle(self, request):
        if request.headers.get("x-token") != "t":
            return Reply(401, {})
        match request.method, request.path:
            case "GET", "/me":
                return Reply(200, {"id": "m1", "name": "Mailroom"})
            case "POST", "/find":
                return Reply(200, [self.recipients[i] for i in request.json() if i in self.recipients])
            case "PUT", "/recipients":
                return Reply(200, [self.put(row) for row in request.json()])
        return Reply(404, {})

    def put(self, row):
        if row.get("email") in self.refused:
            return {"id": row["id"], "error": "undeliverable"}
        if row.pop("delete", False):
            self.recipients.pop(row["id"], None)
        else:
            self.recipients[row["id"]] = row
        return {"id": row["id"]}


class TestMailroom(SinkContract):
    sink_type = SINK
    object = "recipient"

    def start(self, clock):
        return FakeMailroom()

    def config(self, stand_in):
        return {"api_url": stand_in.url, "token": "t"}

    def held(self, stand_in):
        return [r["email"] for r in stand_in.recipients.values()]

    def refuse(self, stand_in, email):
        stand_in.refused.add(email)
        return True

    def is_write(self, request):
        return request.method == "PUT"
