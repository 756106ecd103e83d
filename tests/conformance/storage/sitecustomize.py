"""Makes fsspec's s3, gs and abfs show local folders, in the processes that run functions under test.

MLPIPE_TEST_BUCKETS holds {"s3://name": "/folder", …}; it is read at each use. Does nothing until fsspec is imported, and nothing at all
where it is not installed.
"""

import importlib.abc
import importlib.machinery
import os
import sys


class WhenImported(importlib.abc.MetaPathFinder):
    """Registers the views at the end of fsspec's own import."""

    def find_spec(self, name, path=None, target=None):
        if name != "fsspec":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            sys.path.append(os.path.dirname(os.path.abspath(__file__)))
            try:
                import mlpipe_test_storage
            finally:
                sys.path.pop()
            mlpipe_test_storage.register(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, WhenImported())
