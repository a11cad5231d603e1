from handoff.storage._objects import AnyObjects


class GcsObjects(AnyObjects): ...
