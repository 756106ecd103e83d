"""Tests the validator: a good set of artifacts passes, and each mistake is told."""

from __future__ import annotations

import copy
import json
import tempfile
import unittest
from pathlib import Path
from typing import Any

from arm import ArmError, Template, parse
from validate import validate

STORAGE = "[resourceId('Microsoft.Storage/storageAccounts', variables('storage'))]"
SERVICE = "[resourceId('Microsoft.Storage/storageAccounts/blobServices', variables('storage'), 'default')]"
SITE = "[resourceId('Microsoft.Web/sites', variables('app'))]"
OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"

MAIN: dict[str, Any] = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "contentVersion": "1.0.0.0",
    "parameters": {"location": {"type": "string", "defaultValue": "[resourceGroup().location]"}},
    "variables": {
        "storage": "[concat('st', uniqueString(resourceGroup().id, 'x'))]",
        "app": "[concat('x-', uniqueString(resourceGroup().id))]",
    },
    "resources": [
        {
            "type": "Microsoft.Storage/storageAccounts",
            "apiVersion": "2025-06-01",
            "name": "[variables('storage')]",
            "location": "[parameters('location')]",
            "kind": "StorageV2",
            "sku": {"name": "Standard_LRS"},
            "properties": {"allowSharedKeyAccess": False, "minimumTlsVersion": "TLS1_2"},
        },
        {
            "type": "Microsoft.Storage/storageAccounts/blobServices",
            "apiVersion": "2025-06-01",
            "name": "[concat(variables('storage'), '/default')]",
            "properties": {"isVersioningEnabled": True},
            "dependsOn": [STORAGE],
        },
        {
            "type": "Microsoft.Storage/storageAccounts/blobServices/containers",
            "apiVersion": "2025-06-01",
            "name": "[concat(variables('storage'), '/default/deployments')]",
            "dependsOn": [SERVICE],
        },
        {
            "type": "Microsoft.Web/serverfarms",
            "apiVersion": "2024-11-01",
            "name": "plan",
            "location": "[parameters('location')]",
            "kind": "functionapp",
            "sku": {"name": "FC1", "tier": "FlexConsumption"},
            "properties": {"reserved": True},
        },
        {
            "type": "Microsoft.Web/sites",
            "apiVersion": "2024-11-01",
            "name": "[variables('app')]",
            "location": "[parameters('location')]",
            "kind": "functionapp,linux",
            "identity": {"type": "SystemAssigned"},
            "properties": {
                "serverFarmId": "[resourceId('Microsoft.Web/serverfarms', 'plan')]",
                "siteConfig": {"appSettings": [{"name": "AzureWebJobsStorage__accountName", "value": "[variables('storage')]"}]},
                "functionAppConfig": {
                    "deployment": {
                        "storage": {
                            "type": "blobContainer",
                            "value": f"[concat(reference({STORAGE[1:-1]}, '2025-06-01').primaryEndpoints.blob, 'deployments')]",
                            "authentication": {"type": "SystemAssignedIdentity"},
                        }
                    },
                    "scaleAndConcurrency": {"maximumInstanceCount": 100, "instanceMemoryMB": 2048},
                    "runtime": {"name": "python", "version": "3.12"},
                },
            },
            "dependsOn": ["[resourceId('Microsoft.Web/serverfarms', 'plan')]", STORAGE],
        },
        {
            "type": "Microsoft.Authorization/roleAssignments",
            "apiVersion": "2022-04-01",
            "scope": STORAGE,
            "name": f"[guid({STORAGE[1:-1]}, variables('app'), '{OWNER}')]",
            "properties": {
                "roleDefinitionId": f"[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{OWNER}')]",
                "principalId": f"[reference({SITE[1:-1]}, '2024-11-01', 'Full').identity.principalId]",
                "principalType": "ServicePrincipal",
            },
            "dependsOn": [SITE],
        },
        {
            "type": "Microsoft.EventGrid/systemTopics",
            "apiVersion": "2025-02-15",
            "name": "topic",
            "location": "[parameters('location')]",
            "properties": {"source": STORAGE, "topicType": "Microsoft.Storage.StorageAccounts"},
            "dependsOn": [STORAGE],
        },
        {
            "type": "Microsoft.EventGrid/systemTopics/eventSubscriptions",
            "apiVersion": "2025-02-15",
            "name": "topic/on-object",
            "properties": {
                "destination": {
                    "endpointType": "AzureFunction",
                    "properties": {"resourceId": f"[concat({SITE[1:-1]}, '/functions/on_object')]", "maxEventsPerBatch": 1},
                },
                "filter": {"includedEventTypes": ["Microsoft.Storage.BlobCreated"], "subjectBeginsWith": "/blobServices/default/containers/raw/"},
                "eventDeliverySchema": "EventGridSchema",
            },
            "dependsOn": ["[resourceId('Microsoft.EventGrid/systemTopics', 'topic')]", SITE],
        },
    ],
}

APP = '''
import azure.functions as func
import azure.durable_functions as df

app = df.DFApp()


@app.orchestration_trigger(context_name="context", orchestration="x")
def x(context):
    return (yield context.call_activity("work", {}))


@app.activity_trigger(input_name="envelope")
def work(envelope):
    return {}


@app.event_grid_trigger(arg_name="event")
@app.durable_client_input(client_name="client")
async def on_object(event: func.EventGridEvent, client) -> None:
    await client.start_new("x")


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * MON-FRI")
@app.durable_client_input(client_name="client")
async def on_schedule(timer: func.TimerRequest, client) -> None:
    await client.start_new("x")
'''
HOST = {"version": "2.0", "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}}
REQUIREMENTS = "azure-functions>=1.21,<2\nazure-functions-durable>=1.3,<2\n"


class Validate(unittest.TestCase):
    def problems(self, main: Any = MAIN, app: str = APP, host: Any = HOST, requirements: str = REQUIREMENTS) -> list[str]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / "app").mkdir()
            (folder / "main.json").write_text(json.dumps(main))
            (folder / "app" / "function_app.py").write_text(app)
            (folder / "app" / "host.json").write_text(json.dumps(host))
            (folder / "app" / "requirements.txt").write_text(requirements)
            return validate(folder)

    def with_change(self, *path: Any, value: Any = None) -> list[str]:
        """Problems after one change: path to a key, and its new value (None removes it)."""
        main = copy.deepcopy(MAIN)
        at: Any = main
        for key in path[:-1]:
            at = at[key]
        if value is None:
            del at[path[-1]]
        else:
            at[path[-1]] = value
        return self.problems(main)

    def assert_told(self, text: str, problems: list[str]) -> None:
        self.assertTrue(any(text in problem for problem in problems), f"{text!r} is not in {problems}")

    def test_good(self) -> None:
        self.assertEqual([], self.problems())

    def test_schema(self) -> None:
        r = "resources"
        self.assert_told("there is no property `allowSharedKeyAcess`", self.with_change(r, 0, "properties", "allowSharedKeyAcess", value=True))
        self.assert_told("there is no property `skus`", self.with_change(r, 0, "skus", value={}))
        self.assert_told("boolean expected", self.with_change(r, 0, "properties", "allowSharedKeyAccess", value="no"))
        self.assert_told("is not one of", self.with_change(r, 4, "properties", "functionAppConfig", "runtime", "name", value="ruby"))
        self.assert_told("is not known for", self.with_change(r, 0, "apiVersion", value="2019-01-01"))
        self.assert_told("is no resource type", self.with_change(r, 0, "type", value="Microsoft.Storage/accounts"))
        self.assert_told("there is no property `maxEvents`", self.with_change(r, 7, "properties", "destination", "properties", "maxEvents", value=1))
        self.assert_told("`principalId` is missing", self.with_change(r, 5, "properties", "principalId"))
        self.assert_told("there is no top-level key `resource`", self.with_change("resource", value=[]))

    def test_references(self) -> None:
        r = "resources"
        self.assert_told("there is no variable `storages`", self.with_change(r, 0, "name", value="[variables('storages')]"))
        self.assert_told("there is no parameter `region`", self.with_change(r, 0, "location", value="[parameters('region')]"))
        self.assert_told("variables.spare: is never used", self.with_change("variables", "spare", value="x"))
        self.assert_told("there is no function `concatt`", self.with_change(r, 0, "name", value="[concatt('a')]"))
        self.assert_told("`)` expected", self.with_change(r, 0, "name", value="[concat('a']"))
        self.assert_told("dependsOn: ", self.with_change(r, 6, "dependsOn", value=["[resourceId('Microsoft.Web/sites', 'other')]"]))
        self.assert_told("does not depend on its parent", self.with_change(r, 1, "dependsOn"))
        self.assert_told("not in its dependsOn", self.with_change(r, 5, "dependsOn"))
        self.assert_told("is not in the template", self.with_change(r, 4, "properties", "serverFarmId", value="[resourceId('Microsoft.Web/serverfarms', 'plann')]"))
        self.assert_told("depends on itself", self.with_change(r, 0, "dependsOn", value=[SITE]))
        self.assert_told("is there twice", self.with_change(r, 3, value=MAIN[r][0]))
        self.assert_told("needs 2 names", self.with_change(r, 6, "dependsOn", value=["[resourceId('Microsoft.Storage/storageAccounts/blobServices', 'x')]"]))

    def test_existing_resources_are_fine(self) -> None:
        change = "[resourceId('shared', 'Microsoft.Storage/storageAccounts', 'acme')]"
        self.assertEqual([], self.with_change("resources", 6, "properties", "source", value=change))

    def test_names(self) -> None:
        self.assert_told("does not match", self.with_change("variables", "storage", value="My_Storage"))
        self.assert_told("app setting FUNCTIONS_WORKER_RUNTIME: not on", self.with_change("resources", 4, "properties", "siteConfig", "appSettings", value=[{"name": "FUNCTIONS_WORKER_RUNTIME", "value": "python"}]))
        self.assert_told("1024 is not one of", self.with_change("resources", 4, "properties", "functionAppConfig", "scaleAndConcurrency", "instanceMemoryMB", value=1024))

    def test_app(self) -> None:
        self.assert_told("no such function as its destination", self.problems(app=APP.replace("on_object", "on_new_object")))
        self.assert_told("cannot be imported", self.problems(app="import nothing_of_the_kind\n"))
        self.assert_told("has 5 fields", self.problems(app=APP.replace("0 0 3 * * MON-FRI", "0 3 * * MON-FRI")))
        self.assert_told("is not within 0-6", self.problems(app=APP.replace("MON-FRI", "7")))
        self.assert_told("parameter `extra` has no binding", self.problems(app=APP.replace("def work(envelope)", "def work(envelope, extra)")))
        self.assert_told("binding `envelope` is no parameter", self.problems(app=APP.replace("def work(envelope)", "def work(input)")))
        self.assert_told("extension bundle", self.problems(host={"version": "2.0"}))
        self.assert_told("`azure-functions-durable` is missing", self.problems(requirements="azure-functions\n"))
        self.assert_told("ended the process", self.problems(app="import os\nos._exit(0)\n"))


class Expressions(unittest.TestCase):
    def test_values(self) -> None:
        template = Template({"variables": {"a": {"b": ["x", "it's"]}}, "resources": []})
        self.assertEqual("it's-True-3", template.evaluate("[format('{0}-{1}-{2}', variables('a').b[1], equals(1, 1), length('abc'))]"))
        self.assertEqual("[literal]", template.evaluate("[[literal]"))
        self.assertEqual("yes", template.evaluate("[if(empty(''), 'yes', variables('missing'))]"))
        self.assertEqual(13, len(template.evaluate("[uniqueString('a')]")))
        self.assertEqual("https://x.blob.core.windows.net/", template.evaluate("[reference(resourceId('Microsoft.Storage/storageAccounts', 'x')).primaryEndpoints.blob]"))

    def test_errors(self) -> None:
        for text in ("concat('a'", "'a' 'b'", "concat('a',)", "a", "", "variables('a')."):
            with self.assertRaises(ArmError, msg=text):
                parse(text)


if __name__ == "__main__":
    unittest.main()
