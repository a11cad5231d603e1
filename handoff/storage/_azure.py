from handoff.storage._objects import AnyObjects


class AzureObjects(AnyObjects): ...
