"""The whole product in one thread, on a clock that only the simulation moves: a shop, its webhooks, its targets.

Core and the plugins are real and talk to their stand-ins; people, the network, the vendors and the machine misbehave as
a seed says. A life is a list of steps, each with luck of its own, so that any part of it can be taken out and the rest
still means the same: that is how a failing life is shrunk.

    mortal   an outbox whose process dies at any statement, or at any moment of a call
    target   what every vendor's account can be asked, and how it comes into trouble
    targets  what each vendor holds, as somebody with its own login would see it
    ledger   one more target, without keys, that makes whatever it is told to make
    moments  what must not be so at any moment, asked at each write to the ledger
    network  what is between the shop and the process
    days     jobs that take a day
    clock    that of the process's machine, or of the shop, which somebody may set
    world    the shop, the process and the steps of a life
    buying   what people buy, and what becomes of it
    hands    what they and others do besides
    excuses  what nobody can know, and of whom
    truth    what must be so once everything is quiet
    words    what people say about marketing, and who is mailed against it
    heard    what reached each target, and what the operator holds
    statements  what `status` and `log` say beside that, and what is left of who was forgotten
    afterwards  what more has to be so then: a change that nobody tells of, and a repair
    operators  a changed route, a forget and a restored backup, once all is quiet
    owners   what a target's owner does to one of our records, and what is said of it
    calls    trouble at one call after the other, and something that happens before the next try
    changes  what that may be
    rounds   addresses that go round
    going    who gets an address with which somebody signed up at the target
    anew     who leaves, comes back with that address at once, and is told of
    heirs    a guest and an account who are one for a moment
    lacking  vendors whose answers leave something out
    asking   `verify` with trouble at each of its calls
    deaths   a process that dies at one moment of a call after the other, whatever it is about
    meeting  two things at once
    turns    two threads of which one runs at any moment
    mutants  one place of a message changed to something that nobody means
    lives    draw, live, shrink
"""
