"""`python -m scripts.kafka_jars`: resolves Apache Kafka and writes the list of its jars with their checksums."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import jgo

from tools.knative_local.kafka_jars import KAFKA_VERSION, LIST

SLF4J_VERSION = "1.7.36"


def main() -> None:
    """Write the list, sorted by coordinates."""
    wanted = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:{SLF4J_VERSION}"
    lines: dict[str, str] = {}
    for artifact in jgo.resolve(wanted):
        content = Path(artifact.resolve()).read_bytes()
        coordinates = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
        lines[coordinates] = f"{sha256(content).hexdigest()} {len(content)} {coordinates}\n"
    LIST.write_text("".join(lines[name] for name in sorted(lines)))


if __name__ == "__main__":
    main()
