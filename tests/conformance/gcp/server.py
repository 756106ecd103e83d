"""The deployed half: functions behind their URLs, buckets as folders."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from deployment import Deployment, fingerprint, read
from functions import Instances, Proxy, Zygote


class Server:
    """Keeps the last deployment's function instances warm."""

    def __init__(self) -> None:
        self.proxy = Proxy()
        self._zygote = Zygote()
        self._folder = Path(tempfile.mkdtemp(prefix="mlpipe-gcp-"))
        self._deployed: tuple[str, Deployment] | None = None

    def deploy(self, artifacts: Path, pipeline: Path, buckets: dict[str, str]) -> Deployment:
        """Makes the functions of an artifacts folder callable, and the buckets theirs."""
        mark = f"{fingerprint(artifacts)} {sorted(buckets)}"
        if self._deployed is None or self._deployed[0] != mark:
            self._undeploy()
            deployment = read(artifacts, pipeline, self.proxy.url, sorted(buckets))
            views = {
                f"gs://{name}": str(self._view(name)) for name in deployment.bucket_names.values()
            }
            environment = {"MLPIPE_TEST_BUCKETS": json.dumps(views)}
            self.proxy.instances = Instances(deployment.functions, environment, self._zygote)
            self._deployed = (mark, deployment)
        deployment = self._deployed[1]
        for bucket, name in deployment.bucket_names.items():
            self._point(self._view(name), Path(buckets[bucket]))
        self._train(deployment)
        self.proxy.begin()
        return deployment

    @property
    def mounted(self) -> Path:
        """The folder with a folder a bucket."""
        return self._folder

    def close(self) -> None:
        """Ends every process and removes what was written."""
        self._undeploy()
        self.proxy.close()
        self._zygote.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _train(self, deployment: Deployment) -> None:
        """An empty bucket for trainings, with the code as the README has it copied there."""
        if deployment.training is None:
            return
        bucket = self._view(deployment.training.bucket)
        shutil.rmtree(bucket, ignore_errors=True)
        if deployment.training.code.is_dir():
            shutil.copytree(deployment.training.code, bucket / "code")

    def _view(self, name: str) -> Path:
        return self._folder / name

    def _point(self, view: Path, folder: Path) -> None:
        view.unlink(missing_ok=True)
        view.symlink_to(folder, target_is_directory=True)

    def _undeploy(self) -> None:
        if self.proxy.instances is not None:
            self.proxy.instances.close()
        self.proxy.instances = None
        self._deployed = None
