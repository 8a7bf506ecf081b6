"""The NBD export through which the image's owner uses a drive that QEMU or qemu-storage-daemon has."""

FILTERS = ("mirror_top", "commit_top")
EXPORT = "nvram"  # The export's name and its id, and the name of the first node.


def uri(socket_path):
    """What vnvram calls it."""
    return f"nbd+unix:///{EXPORT}?socket={socket_path}"


def serve(qmp, socket_path):
    """Starts the NBD server; once for a process."""
    qmp.execute("nbd-server-start",
                addr={"type": "unix", "data": {"path": str(socket_path)}})


def add(qmp, node=EXPORT):
    qmp.execute("block-export-add", type="nbd", id=EXPORT, node_name=node, name=EXPORT,
                writable=True)


def is_there(qmp):
    return any(export["id"] == EXPORT for export in qmp.execute("query-block-exports"))


def remove(qmp):
    """At once: the client sees its connection close."""
    qmp.execute("block-export-del", id=EXPORT, mode="hard")
    while is_there(qmp):
        qmp.wait_event("BLOCK_EXPORT_DELETED")


def top_node(qmp):
    """The node that the export shows: it moves to the overlay when a snapshot is taken."""
    for export in qmp.execute("query-block-exports"):
        if export["id"] == EXPORT:
            return below_filter(qmp, export["node-name"])
    return EXPORT


def below_filter(qmp, node):
    """While a mirror or a commit runs, it has a node of its own over the image's."""
    nodes = {entry["node-name"]: entry for entry in qmp.execute("query-named-block-nodes")}
    if nodes[node]["drv"] not in FILTERS:
        return node
    return next(name for name, entry in nodes.items()
                if entry["file"] == nodes[node]["file"] and entry["drv"] not in (*FILTERS, "file"))


def image_of(qmp, node):
    """What QEMU knows about a node's image: filename, format, virtual-size, ..."""
    for entry in qmp.execute("query-named-block-nodes"):
        if entry["node-name"] == node:
            return entry["image"]
    raise LookupError(f"{qmp.path}: there is no node {node}")


def chain(qmp, node):
    """The node and those of the images below it, down to the deepest."""
    nodes = {entry["file"]: entry["node-name"] for entry in qmp.execute("query-named-block-nodes")
             if entry["drv"] != "file"}
    found = [node]
    while below := image_of(qmp, found[-1]).get("full-backing-filename"):
        found.append(nodes[below])
    return found
