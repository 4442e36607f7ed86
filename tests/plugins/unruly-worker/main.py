import os


def loop(api, variables):
    while True:
        pass


def allocate(api, variables):
    everything = []
    while True:
        everything.append(bytearray(64 * 1024 * 1024))


def throw(api, variables):
    raise TypeError("thrown on purpose")


def rubbish(api, variables):
    # Where the answers go that the host understands.
    os.write(api._host.output.fileno(), b"rubbish\n")


def behave(api, variables):
    variables.setString("behaved", "yes")


activities = {
    "org.example.Loop": loop,
    "org.example.Allocate": allocate,
    "org.example.Throw": throw,
    "org.example.Rubbish": rubbish,
    "org.example.Behave": behave,
}
