"""The comparison of findings with answers."""

import json
import tempfile
import unittest
from pathlib import Path

from harness.security import Finding, answers, compare, for_checkov, name_kinds, read


def report(**results: object) -> dict:
    return {"check_type": "arm", "results": {"passed_checks": [], "failed_checks": [], "parsing_errors": [], **results}}


def record(check: str, resource: str) -> dict:
    return {"check_id": check, "check_name": "Ensure it", "resource": resource, "file_path": "/one/azure/main.json"}


FOUND = report(failed_checks=[record("CKV_AZURE_1", "Microsoft.Storage/storageAccounts.[concat('a.b')]")])
ANSWER = "[{check: CKV_AZURE_1, target: azure, resource: Microsoft.Storage/storageAccounts, reason: it is so}]"


class Compare(unittest.TestCase):
    def faults(self, text: str, *reports: dict, files: frozenset[str] = frozenset()) -> list[str]:
        answered, wrong = answers(text)
        return wrong + compare(read(list(reports)), answered, set(files))

    def test_an_answered_finding_is_no_fault(self) -> None:
        self.assertEqual(self.faults(ANSWER, FOUND, files=frozenset({"one/azure/main.json"})), [])

    def test_a_finding_needs_an_answer(self) -> None:
        self.assertIn("is not answered: Ensure it", self.faults("[]", FOUND)[0])
        other = ANSWER.replace("storageAccounts", "storageAccounts/blobServices")
        self.assertEqual(len(self.faults(other, FOUND)), 2)

    def test_an_answer_needs_a_finding(self) -> None:
        self.assertIn("is answered, and not found", self.faults(ANSWER, report())[0])

    def test_a_file_that_is_not_read_is_a_fault(self) -> None:
        self.assertEqual(len(self.faults("[]", report(), files=frozenset({"one/azure/main.json"}))), 1)
        self.assertEqual(len(self.faults("[]", report(parsing_errors=["/one/azure/main.json"]))), 1)
        self.assertEqual(self.faults("[]", {"passed": 0, "failed": 0}), ["checkov scanned nothing"])

    def test_a_finding_is_answered_once_and_with_a_reason(self) -> None:
        twice = ANSWER.replace("[", "").replace("]", "")
        self.assertEqual(len(self.faults(f"[{twice}, {twice}]", FOUND)), 1)
        self.assertEqual(len(self.faults(ANSWER.replace("it is so", "' '"), FOUND)), 1)

    def test_kinds_of_resources(self) -> None:
        for resource, kind in [
            ("AWS::S3::Bucket.RawBucket", "AWS::S3::Bucket"),
            ("google_storage_bucket.raw", "google_storage_bucket"),
            ("Microsoft.Web/sites.[x]", "Microsoft.Web/sites"),
        ]:
            (finding,) = read([report(failed_checks=[record("C", resource)])]).found
            self.assertEqual(finding, Finding("azure", "C", kind))

    def test_kinds_of_terraform_are_found_by_line(self) -> None:
        document = {
            "terraform": {"required_version": ">= 1"},
            "resource": {
                "google_storage_bucket": {"raw": {"lifecycle_rule": {"a": {"b": {}}}}, "clean": {}},
                "google_eventarc_trigger": {"raw": {}},
            },
        }
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "main.tf.json"
            path.write_text(json.dumps(document))
            for_checkov(path)
            lines = path.read_text().splitlines()
            raw = [number for number, line in enumerate(lines, 1) if '"raw"' in line]
            records = [{**record("C", "resource.raw"), "file_path": "/main.tf.json", "file_line_range": [at, at]} for at in raw]
            reports = [{**report(failed_checks=records), "check_type": "terraform_json"}]
            name_kinds(reports, Path(folder))
        self.assertEqual([one["resource"] for one in records], ["google_storage_bucket.raw", "google_eventarc_trigger.raw"])


if __name__ == "__main__":
    unittest.main()
