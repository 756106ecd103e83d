"""Object stores as views of local folders, for fsspec."""

import json
import os
import shutil

from fsspec.spec import AbstractFileSystem

SCHEMES = {"s3": ("s3", "s3a"), "gs": ("gs", "gcs"), "abfs": ("abfs", "abfss", "az")}


def register(fsspec):
    for family, schemes in SCHEMES.items():
        view = type(f"Local{family.title()}", (View,), {"protocol": schemes, "__module__": __name__})
        globals()[view.__name__] = view
        for scheme in schemes:
            fsspec.register_implementation(scheme, view, clobber=True)


class View(AbstractFileSystem):
    """Paths are `bucket/key`. Folders exist only for the objects in them."""

    cachable = False
    protocol = ()

    @classmethod
    def _strip_protocol(cls, path):
        if isinstance(path, list):
            return [cls._strip_protocol(item) for item in path]
        path = os.fspath(path)
        for scheme in cls.protocol:
            if path.startswith(f"{scheme}://"):
                path = path[len(scheme) + 3 :]
                break
        bucket, slash, key = path.strip("/").partition("/")
        return bucket.partition("@")[0] + slash + key

    def local(self, path):
        bucket, _, key = self._strip_protocol(path).partition("/")
        folder = self.folders().get(bucket)
        if folder is None:
            raise FileNotFoundError(f"there is no bucket {bucket}")
        place = os.path.normpath(os.path.join(folder, key))
        if place != folder and not place.startswith(folder + os.sep):
            raise FileNotFoundError(path)
        return place

    def folders(self):
        found = {}
        for uri, folder in json.loads(os.environ.get("MLPIPE_TEST_BUCKETS", "{}")).items():
            scheme, _, rest = uri.partition("://")
            if scheme in self.protocol:
                found[rest.strip("/").partition("@")[0]] = os.path.normpath(folder)
        return found

    def info(self, path, **kwargs):
        path = self._strip_protocol(path)
        place = self.local(path)
        if os.path.isfile(place):
            return {"name": path, "size": os.path.getsize(place), "type": "file", "mtime": os.path.getmtime(place)}
        if "/" not in path or holds_files(place):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path, detail=True, **kwargs):
        path = self._strip_protocol(path)
        if not path:
            entries = [self.info(bucket) for bucket in sorted(self.folders())]
        elif self.info(path)["type"] == "file":
            entries = [self.info(path)]
        else:
            names = sorted(os.listdir(self.local(path)))
            entries = [self.info(f"{path}/{name}") for name in names if self.exists(f"{path}/{name}")]
        return entries if detail else [entry["name"] for entry in entries]

    def _open(self, path, mode="rb", **kwargs):
        place = self.local(path)
        if "r" not in mode:
            os.makedirs(os.path.dirname(place), exist_ok=True)
        elif os.path.isdir(place):
            raise FileNotFoundError(path)
        return open(place, mode)

    def cp_file(self, path1, path2, **kwargs):
        source, target = self.local(path1), self.local(path2)
        if os.path.isdir(source):
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)

    def rm_file(self, path):
        os.remove(self.local(path))

    def _rm(self, path):
        place = self.local(path)
        shutil.rmtree(place) if os.path.isdir(place) else os.remove(place)

    def modified(self, path):
        from datetime import datetime, timezone

        return datetime.fromtimestamp(os.path.getmtime(self.local(path)), timezone.utc)

    def mkdir(self, path, create_parents=True, **kwargs):
        pass

    def makedirs(self, path, exist_ok=False):
        pass

    def rmdir(self, path):
        pass


def holds_files(place):
    return any(files for _, _, files in os.walk(place))
