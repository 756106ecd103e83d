"""Where moto's Step Functions interpreter departs from AWS's documentation, it is put right here.

moto 5.2.5 carries LocalStack's interpreter. Each patch names the sentence that it follows: "Spec" is the Amazon States Language
specification (states-language.net/spec.html), other pages are those of the Step Functions Developer Guide. Only JSONata definitions are run.
`install()` is called once in a process, `use(run)` before each execution.
"""

from __future__ import annotations

import copy
import json
import random
import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import botocore.session
import botocore.validate
from moto.stepfunctions.parser import quotas
from moto.stepfunctions.parser.api import ExecutionFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.assign.assign_decl import AssignDecl
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.outputdecl import Output
from moto.stepfunctions.parser.asl.component.common.retry.jitter_strategy_decl import JitterStrategy
from moto.stepfunctions.parser.asl.component.common.retry.retrier_decl import RetrierDecl
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import EvalTimeoutError, TimeoutSecondsJSONata
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state import state as state_module
from moto.stepfunctions.parser.asl.component.state.choice.state_choice import StateChoice
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import DistributedIterationComponent
from moto.stepfunctions.parser.asl.component.state.exec.state_map.state_map import StateMap
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel.state_parallel import StateParallel
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import StateTaskServiceAwsSdk
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_batch import StateTaskServiceBatch
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_lambda import StateTaskServiceLambda
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import StateTaskServiceSfn
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sns import StateTaskServiceSns
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_unsupported import StateTaskServiceUnsupported
from moto.stepfunctions.parser.asl.component.state.fail.state_fail import StateFail
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.component.state.state_pass.state_pass import StatePass
from moto.stepfunctions.parser.asl.component.state.wait.state_wait import StateWait
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.seconds import SecondsJSONata
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.program_state import ProgramError
from moto.stepfunctions.parser.asl.eval.states import States
from moto.stepfunctions.parser.asl.parse import preprocessor

from functions import FunctionFailed, TaskTimedOut
from query import QueryError
from training import NoSuchBucket, NoSuchKey, Refused

if TYPE_CHECKING:
    from machine import Run

QUERY_ERROR = "States.QueryEvaluationError"
DATA_LIMIT = "States.DataLimitExceeded"
RUNTIME = "States.Runtime"
TIMEOUT = "States.Timeout"
TASK_FAILED = "States.TaskFailed"
NO_CHOICE = "States.NoChoiceMatched"
THRESHOLD = "States.ExceedToleratedFailureThreshold"
INLINE_AT_ONCE = 40
DISTRIBUTED_AT_ONCE = 10_000
PAYLOAD_BYTES = 256 * 1024
STORE_BYTES = 10 * 1024 * 1024
MAX_CAUSE = 32768
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
MAX_ERROR = 256
SERVING = re.compile(r"sagemaker:(createModel|createEndpointConfig|(create|describe|update|delete)Endpoint)|applicationautoscaling:\w+")
EXECUTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")

run: Run


class HarnessFault(BaseException):
    """The definition does what AWS's documentation does not define, or what this harness does not know."""


class ChildFailed(Exception):
    """The execution of an item of a Distributed Map failed."""


class Name(ErrorName):
    """An error's name, whatever it is."""


def use(current: Run) -> None:
    """Sets the execution that the patches serve."""
    global run
    run = current


def failure(env: Environment, name: str, cause: str | None) -> FailureEventException:
    details = ExecutionFailedEventDetails(error=name)
    if cause is not None:
        details["cause"] = cause
    event = EventDetails(executionFailedEventDetails=details)
    return FailureEventException(FailureEvent(env, Name(name), HistoryEventType.ExecutionFailed, event))


def install() -> None:
    """Replaces moto's methods by those below."""
    quotas.is_within_size_quota = within_quota
    state_module.is_within_size_quota = within_quota
    state_task_service.is_within_size_quota = within_quota
    EvalComponent._log_failure_event_exception = silent
    EvalComponent._log_exception = silent
    preprocessor.from_string_literal = string_of
    preprocessor.Preprocessor._inner_string_of = staticmethod(string_of)
    StringJSONata._eval_body = evaluate_string
    States.reset = reset_states
    States.set_result = set_result
    AssignDecl._eval_body = refuse
    Output._eval_body = refuse
    Program.eval = run_program
    CommonStateField._eval_body = run_state
    CommonStateField._eval_state_output = finish_state
    StatePass._eval_state = nothing
    StateWait._eval_state = wait
    SecondsJSONata._get_wait_seconds = wait_seconds
    Timestamp._get_wait_seconds = seconds_until
    TimeoutSecondsJSONata._eval_seconds = timeout_seconds
    StateChoice._eval_state = choose
    StateChoice._eval_state_output = nothing
    StateFail._eval_state = fail
    ExecutionState._eval_state = run_with_retries
    ExecutionState._eval_state_output = nothing
    StateParallel._eval_state = run_with_retries
    StateParallel._eval_execution = run_parallel
    StateMap._eval_state = run_with_retries
    StateMap._eval_execution = run_map
    StateTaskServiceLambda._eval_service_task = invoke_lambda
    StateTaskServiceSfn._eval_execution = start_execution
    StateTaskServiceAwsSdk._eval_execution = call_sdk
    StateTaskServiceSns._eval_execution = publish
    StateTaskServiceBatch._eval_execution = submit_job
    StateTaskServiceUnsupported._assert_integration_pattern_is_supported = nothing
    StateTaskServiceUnsupported._eval_execution = create_sagemaker_job


def nothing(self: Any, *_: Any) -> None:
    """The work is done elsewhere."""


def string_of(parser_rule_context: Any) -> str | None:
    """Strings and keys are JSON's. moto reads some as Python's and leaves others as they stand in the source."""
    text = parser_rule_context.getText()
    return json.loads(text) if text.startswith('"') or text == "null" else text


def silent(self: EvalComponent, *_: Any, **__: Any) -> None:
    """moto writes the whole tree of states into its log for each error."""


def refuse(self: Any, env: Environment) -> None:
    raise HarnessFault(f"{type(self).__name__} is evaluated outside `complete`")


# --- sizes -----------------------------------------------------------------------------------------------------------


def size_of(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def within_quota(value: Any) -> bool:
    """Service quotas: "Maximum input or output size for a task, state, or execution: 256 KiB of data as a UTF-8 encoded string".

    moto counts `\\uXXXX` escapes and spaces after separators, and refuses the limit itself.
    """
    return size_of(value) <= PAYLOAD_BYTES


def check_payload(env: Environment, value: Any, what: str) -> None:
    """Handling errors, States.DataLimitExceeded: "When the output of a state is larger than payload size quota", "When, after
    Parameters processing, the input of a state is larger than the payload size quota"."""
    if not within_quota(value):
        cause = f"The state/task '{env.next_state_name}' {what} with a size exceeding the maximum number of bytes service limit."
        raise failure(env, DATA_LIMIT, cause)


# --- JSONata ---------------------------------------------------------------------------------------------------------


def evaluate_string(self: StringJSONata, env: Environment) -> None:
    """Evaluates with npm's jsonata; the variables are data, not text spliced into the expression as moto does.

    Spec, JSONata Runtime Errors: "A JSONata expression may fail to return a result …, which is an error because JSON cannot represent an
    undefined value. In each case, the interpreter will throw States.QueryEvaluationError".
    """
    store = env.variable_store
    bindings = {**store._outer_scope, **store._inner_scope, "states": env.states._states_data}
    try:
        env.stack.append(run.jsonata.evaluate(self.expression, bindings))
    except QueryError as error:
        raise failure(env, QUERY_ERROR, f"The JSONata expression '{self.expression}' failed: {error}") from None


def reset_states(self: States, input_value: Any) -> None:
    """Passing data between states with variables, "$states": result "(if successful)", errorOutput "(only available in a Catch)"; else
    they are undefined, where moto has null."""
    self._states_data["input"] = copy.deepcopy(input_value)
    self._states_data.pop("result", None)
    self._states_data.pop("errorOutput", None)


def set_result(self: States, result: Any) -> None:
    self._states_data.pop("errorOutput", None)
    self._states_data["result"] = copy.deepcopy(result)


def set_error_output(env: Environment, error_output: dict[str, Any]) -> None:
    env.states._states_data.pop("result", None)
    env.states._states_data["errorOutput"] = error_output


def evaluate(component: EvalComponent, env: Environment) -> Any:
    component.eval(env)
    return env.stack.pop()


def evaluate_assign(assign: AssignDecl | None, env: Environment) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for binding in assign.declaration_bindings if assign else ():
        values.update(evaluate(binding, env))
    return values


def complete(env: Environment, assign: AssignDecl | None, output: Output | None, default: Any) -> None:
    """Ends a state: its output, then its variables.

    Passing data between states with variables: "Assign and Output fields are processed in parallel … assigning variable values will not
    affect state Output", "Step Functions evaluates all expressions and then makes assignments" (moto lets Output see the new values).
    "The maximum size of a single variable is 256Kib", "The maximum combined size for all variables in a single Assign field is also 256Kib",
    "The total size of all stored variables cannot exceed 10MiB per execution". Which error that is, is not written: it is taken to be
    States.DataLimitExceeded.
    """
    values = evaluate_assign(assign, env)
    result = evaluate(output.jsonata_template_value, env) if output else default
    check_payload(env, result, "returned a result")
    if sum(map(size_of, values.values())) > PAYLOAD_BYTES:
        raise failure(env, DATA_LIMIT, f"The variables of the state '{env.next_state_name}' exceed 256 KiB.")
    for name, value in values.items():
        env.variable_store.set(variable_identifier=name, variable_value=value)
    store = env.variable_store
    if values and size_of({**store._outer_scope, **store._inner_scope}) > STORE_BYTES:
        raise failure(env, DATA_LIMIT, "The variables of the execution exceed 10 MiB.")
    env.states.reset(result)


# --- states ----------------------------------------------------------------------------------------------------------


def run_program(self: Program, env: Environment) -> None:
    """In the caller's thread, where moto starts a new one. What is no failure of the state machine is a fault of the harness, where moto
    makes States.Runtime of it. An execution's own TimeoutSeconds is looked at by `machine`."""
    env.next_state_name = self.start_at.start_at_name
    try:
        while env.is_running():
            self._get_state(env.next_state_name).eval(env)
            env.stack.clear()
    except FailureEventException as error:
        env.set_error(error=error.get_execution_failed_event_details())


def run_state(self: CommonStateField, env: Environment) -> None:
    """Enters a state, runs it and goes on, by the virtual clock."""
    run.enter(self.name, env)
    entered = (run.started + timedelta(seconds=run.clock.now)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    env.states.context_object.context_object_data["State"] = {"EnteredTime": entered, "Name": self.name}
    env.stack.append(env.states.get_input())
    env.goto = None
    self._eval_state(env)
    self._eval_state_output(env)
    if env.goto is not None:
        env.next_state_name = env.goto
    else:
        self._set_next(env)


def finish_state(self: CommonStateField, env: Environment) -> None:
    complete(env, self.assign_decl, self.output, env.states.get_input())


def wait(self: StateWait, env: Environment) -> None:
    """Recorded, not slept; a point in time is not recorded, for how far it is differs from run to run."""
    seconds = self.wait_function._get_wait_seconds(env)
    if isinstance(self.wait_function, Timestamp):
        if seconds > 0:
            run.clock.sleep(seconds, record=False)
    else:
        run.clock.sleep(seconds)


def wait_seconds(self: SecondsJSONata, env: Environment) -> int:
    """Spec, JSONata Wait State: "a JSONata string for the Seconds field whose value, when evaluated, MUST be a non-negative integer".
    moto cuts fractions off."""
    return whole_number(evaluate(self.string_jsonata, env), env, "Seconds", 0)


def seconds_until(self: Timestamp, env: Environment) -> float:
    """By the virtual clock, where moto asks the local one. Spec, Wait State: "Timestamps MUST conform to the RFC3339 profile of ISO 8601, with the
    further restrictions that an uppercase \"T\" character MUST be used to separate date and time, and an uppercase \"Z\" character MUST be
    present in the absence of a numeric time zone offset"."""
    text = evaluate(self.string, env)
    if not isinstance(text, str) or not TIMESTAMP.fullmatch(text):
        raise failure(env, QUERY_ERROR, f"'Timestamp' must be a timestamp, got {json.dumps(text)}")
    return (datetime.fromisoformat(text) - run.started).total_seconds() - run.clock.now


def timeout_seconds(self: TimeoutSecondsJSONata, env: Environment) -> int:
    """Spec, Task State, Timeouts: "whose values, when evaluated, MUST be positive integers"."""
    return whole_number(evaluate(self.string_jsonata, env), env, "TimeoutSeconds", 1)


def whole_number(value: Any, env: Environment, field: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value) or not least <= value <= 99999999:
        raise failure(env, QUERY_ERROR, f"'{field}' must be an integer from {least} to 99999999, got {json.dumps(value)}")
    return int(value)


def choose(self: StateChoice, env: Environment) -> None:
    """Spec, Choice State: "The Condition field accepts a boolean value or a JSONata string that must evaluate to a boolean value"; "If a
    Choice Rule is chosen, the interpreter evaluates the Choice Rule's Assign field, if any, and does not evaluate the state's top-level
    Assign field. If no Choice Rules match, the interpreter evaluates the states's top-level Assign field"; the same for Output; "The
    interpreter will throw a runtime States.NoChoiceMatched error if a Choice State fails to match a Choice Rule and no Default
    transition was specified". moto raises States.Runtime in the first and the last case, and uses the state's own Assign after a rule that leads
    where Default does."""
    default = env.states.get_input()
    for rule in self.choices_decl.rules:
        if condition(evaluate_raw(rule.comparison, env), env):
            complete(env, rule.assign, rule.output, default)
            env.goto = rule.next_stmt.name
            return
    if self.default_state is None:
        raise failure(env, NO_CHOICE, "No choice rule matched and there is no Default.")
    complete(env, self.assign_decl, self.output, default)
    env.goto = self.default_state.state_name


def evaluate_raw(comparison: Any, env: Environment) -> Any:
    inner = getattr(comparison, "string_jsonata", None)
    return evaluate(inner, env) if inner is not None else comparison.literal


def condition(value: Any, env: Environment) -> bool:
    if not isinstance(value, bool):
        raise failure(env, QUERY_ERROR, f"The Condition must give a boolean, got {json.dumps(value)}")
    return value


def fail(self: StateFail, env: Environment) -> None:
    """Spec, JSONata Fail State: "JSONata strings for the Error and Cause fields whose values, when evaluated, MUST be string values".
    API reference, ExecutionFailedEventDetails: error of at most 256 characters, cause of at most 32768."""
    values: dict[str, Any] = {}
    for field, component in (("Error", self.error), ("Cause", self.cause)):
        if component is not None:
            values[field] = evaluate(component.string_expression, env)
            if not isinstance(values[field], str):
                raise failure(env, QUERY_ERROR, f"'{field}' must be a string, got {json.dumps(values[field])}")
    if len(values.get("Error", "")) > MAX_ERROR or len(values.get("Cause", "")) > MAX_CAUSE:
        raise HarnessFault(f"the state '{self.name}' fails with more than {MAX_ERROR} characters of Error or {MAX_CAUSE} of Cause")
    raise failure(env, values.get("Error", ""), values.get("Cause"))


# --- retry and catch -------------------------------------------------------------------------------------------------


def matches(names: list[ErrorName], error: str) -> bool:
    """Handling errors.

    States.ALL: "This error type can't catch the States.DataLimitExceeded terminal error type and runtime error types".
    States.Runtime: "… is not retriable, and will always cause the execution to fail. A retry or catch on States.ALL will not
    catch States.Runtime errors". States.TaskFailed: "When used in a retry or catch, States.TaskFailed acts as a wildcard that
    matches any known error name except for States.Timeout". States.Timeout covers a heartbeat's end too (States.HeartbeatTimeout).
    """
    if error == RUNTIME:
        return False
    for name in (item.error_name for item in names):
        if name == error or (name == TIMEOUT and error == "States.HeartbeatTimeout"):
            return True
        if name == "States.ALL" and error != DATA_LIMIT:
            return True
        if name == "States.TaskFailed" and error not in (TIMEOUT, "States.HeartbeatTimeout", DATA_LIMIT):
            return True
    return False


class Retries:
    """Spec, Complex retry scenarios: "A Retrier's parameters apply across all visits to that Retrier in the context of a single state
    execution"; an error that "would match the first retrier but its MaxAttempts ceiling … has already been reached" goes to the Catch.
    MaxDelaySeconds: "the maximum interval in seconds to wait before the next retry attempt"."""

    def __init__(self, state: ExecutionState) -> None:
        self.retriers: list[RetrierDecl] = state.retry.retriers if state.retry else []
        self.counts = [0] * len(self.retriers)

    def interval(self, error: str) -> float | None:
        """Seconds to wait before the next attempt; None where there is none."""
        for index, retrier in enumerate(self.retriers):
            if not matches(retrier.error_equals.error_names, error):
                continue
            if self.counts[index] >= retrier.max_attempts.attempts:
                return None
            seconds = retrier.interval_seconds.seconds * retrier.backoff_rate.rate ** self.counts[index]
            self.counts[index] += 1
            seconds = min(seconds, retrier.max_delay_seconds.max_delays_seconds)
            if retrier.jitter_strategy.jitter_strategy == JitterStrategy.FULL:
                seconds = random.Random(self.counts[index]).uniform(0, seconds)
            return seconds
        return None


def run_with_retries(self: ExecutionState, env: Environment) -> None:
    """Runs a Task, Parallel or Map state.

    Spec, JSONata Runtime Errors: "the interpreter will throw States.QueryEvaluationError. Task, Map, and Parallel states MAY use a Retrier to
    retry on the error, and a Catcher to catch the error": errors in Arguments, Output and Assign too, where moto lets those of Output and of a
    Parallel's Arguments pass. Context object: State.RetryCount counts the retries.
    """
    context = env.states.context_object.context_object_data["State"]
    context["RetryCount"] = 0
    retries = Retries(self)
    stack = list(env.stack)
    input_value = env.states.get_input()
    while True:
        env.stack[:] = copy.deepcopy(stack)
        try:
            self._eval_execution(env)
            env.states.set_result(env.stack.pop())
            complete(env, self.assign_decl, self.output, env.states._states_data["result"])
            return
        except (FailureEventException, lambda_eval_utils.LambdaFunctionErrorException, EvalTimeoutError) as error:
            event = self._from_error(env=env, ex=error)
        env.states.reset(input_value)
        name = event.error_name.error_name if event.error_name else ""
        delay = retries.interval(name)
        if delay is not None:
            run.clock.sleep(delay)
            context["RetryCount"] += 1
            continue
        if not catch(self, env, name, event):
            raise FailureEventException(event)
        return


def catch(state: ExecutionState, env: Environment, name: str, event: FailureEvent) -> bool:
    """Spec, Fallback states: "scans through the Catchers in array order"; "If the Output field is not provided, the state output is the Error
    Output", which has Error and "SHOULD have a string-valued field named Cause". Fields of a Catcher see `$states.errorOutput`, not result."""
    details: dict[str, Any] = next(iter(event.event_details.values()))
    error_output = {"Error": name, "Cause": str(details.get("cause") or "")[:MAX_CAUSE]}
    for catcher in state.catch.catchers if state.catch else ():
        if matches(catcher.error_equals.error_names, name):
            set_error_output(env, error_output)
            complete(env, catcher.assign, catcher.output, error_output)
            env.goto = catcher.next_decl.name
            return True
    return False


# --- Task, Parallel, Map ---------------------------------------------------------------------------------------------


def invoke_lambda(
    self: StateTaskServiceLambda, env: Environment, resource_runtime_part: Any, normalised_parameters: dict[str, Any], state_credentials: Any
) -> None:
    """Calls the function in its process. Call an AWS Lambda function with Step Functions: the result's fields are below, Payload is
    "parsed from an escaped JSON string to JSON"."""
    event = json.loads(normalised_parameters["Payload"]) if "Payload" in normalised_parameters else {}
    check_payload(env, {**normalised_parameters, "Payload": event}, "has Arguments")
    limit = None if self.timeout.is_default_value() else float(evaluate(self.timeout, env))
    run.clock.check()
    try:
        payload = run.invoke(normalised_parameters["FunctionName"], event, limit, env)
    except FunctionFailed as failed:
        raise lambda_eval_utils.LambdaFunctionErrorException("Unhandled", failed.payload) from None
    except TaskTimedOut:
        raise EvalTimeoutError from None
    env.stack.append(
        {
            "ExecutedVersion": "$LATEST",
            "Payload": payload,
            "SdkHttpMetadata": {"HttpStatusCode": 200},
            "SdkResponseMetadata": {"RequestId": "00000000-0000-0000-0000-000000000000"},
            "StatusCode": 200,
        }
    )


def start_execution(self: StateTaskServiceSfn, env: Environment) -> None:
    """Runs another state machine, and waits for its end. Start workflow executions from a task state: with `.sync:2` "the output … is JSON"; a
    failed execution is States.TaskFailed, whose cause is what DescribeExecution tells (moto's tests against AWS show its form)."""
    if not str(self.resource.resource_arn).endswith(":states:startExecution.sync:2"):
        raise HarnessFault(f"the harness does not know {self.resource.resource_arn}")
    arguments = self._eval_parameters(env)
    check_payload(env, arguments, "has Arguments")
    limit = None if self.timeout.is_default_value() else float(evaluate(self.timeout, env))
    arn, name = arguments["StateMachineArn"], arguments.get("Name") or str(uuid.uuid4())
    if not EXECUTION_NAME.fullmatch(name):
        raise failure(env, "StepFunctions.InvalidNameException", f"Invalid Name: '{name}'")
    execution_arn = f"{arn.replace(':stateMachine:', ':execution:')}:{name}"
    if execution_arn in run.executions:
        raise failure(env, "StepFunctions.ExecutionAlreadyExistsException", f"Execution Already Exists: '{execution_arn}'")
    run.executions[execution_arn] = {"ExecutionArn": execution_arn, "Name": name, "StateMachineArn": arn, "Status": "RUNNING"}
    job = run.start(arn, arguments.get("Input", {}), name)
    try:
        child = job() if limit is None else run.clock.bounded(job, limit)
    except TimeoutError:
        raise EvalTimeoutError from None
    described = {
        "ExecutionArn": execution_arn,
        "Input": arguments.get("Input", {}),
        "Name": name,
        "StateMachineArn": arn,
    }
    end = child.program_state()
    if isinstance(end, ProgramError):
        told = {"Cause": (end.error or {}).get("cause"), "Error": (end.error or {}).get("error")}
        described = {**told, **described, "Input": json.dumps(described["Input"]), "Status": "FAILED"}
        run.executions[execution_arn] = {key: value for key, value in described.items() if value is not None}
        raise failure(env, TASK_FAILED, json.dumps(described)[:MAX_CAUSE])
    result = {**described, "Output": child.states.get_input(), "Status": "SUCCEEDED"}
    check_payload(env, result, "returned a result")
    env.stack.append(result)


def publish(self: StateTaskServiceSns, env: Environment) -> None:
    """Publishes a message: a text with attributes (API reference of SNS, Publish), or the request of an approval."""
    resource = str(self.resource.resource_arn)
    if resource.endswith(":states:::sns:publish.waitForTaskToken"):
        return ask(self, env)
    if not resource.endswith(":states:::sns:publish"):
        raise HarnessFault(f"the harness does not know {resource}")
    arguments = self._eval_parameters(env)
    check_payload(env, arguments, "has Arguments")
    check_request("sns", "Publish", arguments)
    if set(arguments) != {"TopicArn", "Message", "MessageAttributes"} or not isinstance(arguments["Message"], str):
        raise HarnessFault(f"the state '{self.name}' publishes {json.dumps(arguments)[:400]}")
    attributes = arguments["MessageAttributes"]
    if set(attributes) != {"pipeline", "run", "step"} or any(set(one) != {"DataType", "StringValue"} or one["DataType"] != "String" or not one["StringValue"] for one in attributes.values()):
        raise HarnessFault(f"the state '{self.name}' gives the attributes {json.dumps(attributes)[:400]}")
    if arguments["TopicArn"] not in run.topics:
        raise failure(env, "SNS.NotFoundException", "Topic does not exist")
    if not arguments["Message"]:
        raise failure(env, "SNS.InvalidParameterException", "Invalid parameter: Empty message")
    run.clock.check()
    run.publish(arguments["TopicArn"], arguments["Message"])
    env.stack.append({"MessageId": str(uuid.uuid4())})


def submit_job(self: StateTaskServiceBatch, env: Environment) -> None:
    """Runs a container and waits for its end. The image is not there: its command is run as a process. Of one that fails, "Cause" is what DescribeJobs tells."""
    if not str(self.resource.resource_arn).endswith(":states:::batch:submitJob.sync"):
        raise HarnessFault(f"the harness does not know {self.resource.resource_arn}")
    arguments = self._eval_parameters(env)
    check_payload(env, arguments, "has Arguments")
    check_request("batch", "SubmitJob", arguments)
    limit = float(evaluate(self.timeout, env))
    run.clock.check()
    ended = run.contain(arguments, limit, env)
    if ended is None:
        raise EvalTimeoutError
    described = {"JobId": str(uuid.uuid4()), "JobName": arguments["JobName"], "Container": {"ExitCode": ended}}
    if ended != 0:
        raise failure(env, TASK_FAILED, json.dumps({**described, "Status": "FAILED", "StatusReason": "Essential container in task exited"}))
    env.stack.append({**described, "Status": "SUCCEEDED"})


def create_sagemaker_job(self: Any, env: Environment) -> None:
    """Runs a training or processing job and waits for its end. A job that failed is States.TaskFailed, and "Cause" is what describing it tells."""
    found = re.fullmatch(r".*:states:::sagemaker:create((?:Training|Processing)Job)\.sync", str(self.resource.resource_arn))
    if found is None:
        raise HarnessFault(f"the harness does not know {self.resource.resource_arn}")
    arguments = self._eval_parameters(env)
    check_payload(env, arguments, "has Arguments")
    check_request("sagemaker", f"Create{found[1]}", arguments)
    start = run.train if found[1] == "TrainingJob" else run.process
    limit = float(evaluate(self.timeout, env))
    run.clock.check()
    try:
        job = start(arguments, limit, env)
    except Refused as refused:
        raise failure(env, refused.error, refused.cause) from None
    except TimeoutError:
        raise EvalTimeoutError from None
    if job[f"{found[1]}Status"] != "Completed":
        raise failure(env, TASK_FAILED, json.dumps(job))
    env.stack.append(copy.deepcopy(job))


def check_request(service: str, operation: str, arguments: dict[str, Any]) -> None:
    """Arguments against the service's published model; Step Functions writes its names with capitals."""
    shape = input_shape(service, operation)
    report = botocore.validate.ParamValidator().validate(lowered(arguments, shape), shape)
    if report.has_errors():
        raise HarnessFault(f"{service} does not take this: {report.generate_report()}")


@lru_cache
def input_shape(service: str, operation: str) -> Any:
    return botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape


def lowered(value: Any, shape: Any) -> Any:
    """The value with the model's own names."""
    if shape.type_name == "structure" and isinstance(value, dict):
        members = {name[:1].upper() + name[1:]: (name, member) for name, member in shape.members.items()}
        return {members[key][0] if key in members else key: lowered(item, members[key][1]) if key in members else item for key, item in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [lowered(item, shape.member) for item in value]
    return value


def ask(self: StateTaskServiceSns, env: Environment) -> None:
    """Publishes a message and waits for an answer. Wait for a Callback with Task Token: "the task waits until it receives that task token back with a
    SendTaskSuccess or SendTaskFailure call", whose output is the result; the token is in the context object, `Task.Token`."""
    arguments = self._eval_parameters(env)
    check_payload(env, arguments, "has Arguments")
    if self.timeout.is_default_value():
        raise HarnessFault(f"the state '{self.name}' may wait for an answer for a year")
    limit = float(evaluate(self.timeout, env))
    if arguments["TopicArn"] not in run.topics:
        raise failure(env, "SNS.NotFoundException", "Topic does not exist")
    message = arguments["Message"]
    if set(message) != {"pipeline", "run", "step", "message", "token"} or not isinstance(message["message"], str):
        raise HarnessFault(f"the state '{self.name}' publishes {json.dumps(message)[:400]}")
    if message["token"] != env.states.context_object.context_object_data["Task"]["Token"]:
        raise HarnessFault(f"the state '{self.name}' publishes another token than its own")
    run.clock.check()
    answer = run.answer(message)
    if answer is None:
        run.clock.sleep(limit, record=False)
        raise EvalTimeoutError
    env.stack.append(copy.deepcopy(answer))


def branch(env: Environment, program: Program, input_value: Any, prepare: Callable[[Environment], None] = lambda frame: None) -> Callable[[], Any]:
    """A job that runs a program in a scope of its own and gives its output, or raises its failure."""
    frame = env.open_inner_frame()
    frame.states.reset(input_value=input_value)
    prepare(frame)

    def job() -> Any:
        program.eval(frame)
        end = frame.program_state()
        if isinstance(end, ProgramError):
            error = end.error or {}
            raise failure(env, error.get("error", ""), error.get("cause"))
        return frame.states.get_input()

    return job


def run_parallel(self: StateParallel, env: Environment) -> None:
    """Spec, Parallel State: "If any branch fails, due to an unhandled error or by transitioning to a Fail State, the entire Parallel State is
    considered to have failed and all the branches are terminated". Arguments are evaluated at each attempt, inside the reach of Catch."""
    value = env.states.get_input()
    if self.parargs is not None:
        value = evaluate(self.parargs, env)
        check_payload(env, value, "has Arguments")
    env.stack.append(run.clock.run_all([branch(env, program, value) for program in self.branches.programs]))


def run_map(self: StateMap, env: Environment) -> None:
    """Map state: one iteration an item, at most MaxConcurrency at once.

    Inline mode (0: 40 at once): the first failure fails the state. Distributed mode: "each iteration … runs as a child workflow execution"; "the
    default percentage value is zero, which means that the workflow fails if any one of its child workflow executions fails or times out":
    States.ExceedToleratedFailureThreshold, which does not tell why. Passing data between states with variables: such an execution does not see
    those of outer scopes.
    """
    if self.item_reader or self.result_writer or not hasattr(self.iteration_component, "_get_iteration_program"):
        raise HarnessFault(f"the state '{self.name}': only Map states over Items are run")
    items = evaluate(self.items, env) if self.items else env.states.get_input()
    if not isinstance(items, list):
        raise failure(env, QUERY_ERROR, f"Items must be an array, got {json.dumps(items)[:100]}")
    at_once = evaluate(self.max_concurrency_decl, env)
    program = self.iteration_component._get_iteration_program()
    distributed = isinstance(self.iteration_component, DistributedIterationComponent)
    if not distributed and at_once > INLINE_AT_ONCE:
        raise HarnessFault(f"the state '{self.name}': an inline Map state runs at most {INLINE_AT_ONCE} items at once")
    map_run = run.map_run(env, self.label.label if self.label else str(uuid.uuid4())) if distributed else None
    context = env.states.context_object.context_object_data
    jobs = []
    for index, item in enumerate(items):
        place = {"Item": {"Index": index, "Value": item}}
        context["Map"] = place
        value = evaluate(self.item_selector, env) if self.item_selector else item

        def prepare(frame: Environment, place: dict[str, Any] = place) -> None:
            frame.states.context_object.context_object_data["Map"] = place

        if map_run is not None:
            check_payload(env, value, "has an item")
            jobs.append(run.child(map_run, program, value))
        else:
            jobs.append(branch(env, program, value, prepare))
    context.pop("Map", None)
    at_once = at_once or (DISTRIBUTED_AT_ONCE if distributed else INLINE_AT_ONCE)
    try:
        env.stack.append(run.clock.run_all(jobs, at_once))
    except ChildFailed:
        raise failure(env, THRESHOLD, "The specified tolerated failure threshold was exceeded") from None


def call_sdk(self: StateTaskServiceAwsSdk, env: Environment) -> None:
    """What a state machine asks Step Functions itself. Calling another AWS service with Step Functions: "API actions will always be camel case, and
    parameter names will be Pascal case". API reference, ListExecutions: "Results are sorted by time, with the most recent execution first"."""
    arguments = self._eval_parameters(env)
    check_payload(env, arguments, "has Arguments")
    action = str(self.resource.resource_arn).removeprefix("arn:aws:states:::aws-sdk:").removeprefix("sfn:")
    match action:
        case "s3:getObject":
            check_request("s3", "GetObject", arguments)
            run.clock.check()
            try:
                result: Any = {"Body": run.sagemaker.store.read(arguments["Bucket"], arguments["Key"]), "ContentType": "application/octet-stream"}
            except NoSuchKey:
                raise failure(env, "S3.NoSuchKeyException", "The specified key does not exist. (Service: S3, Status Code: 404)") from None
            except NoSuchBucket:
                raise failure(env, "S3.NoSuchBucketException", "The specified bucket does not exist (Service: S3, Status Code: 404)") from None
        case "sagemaker:stopTrainingJob" | "sagemaker:stopProcessingJob":
            kind = action.removeprefix("sagemaker:stop")
            check_request("sagemaker", f"Stop{kind}", arguments)
            try:
                run.sagemaker.stop(arguments[f"{kind}Name"])
            except Refused as refused:
                raise failure(env, refused.error, refused.cause) from None
            result = {}
        case "cloudwatch:putMetricAlarm":
            check_request("cloudwatch", "PutMetricAlarm", arguments)
            if unknown := [arn for arn in arguments["AlarmActions"] if arn not in run.topics]:
                raise HarnessFault(f"no such topic: {unknown[0]}")
            run.alarms[arguments["AlarmName"]] = arguments
            result = {}
        case "cloudwatch:deleteAlarms":
            check_request("cloudwatch", "DeleteAlarms", arguments)
            for name in arguments["AlarmNames"]:
                run.alarms.pop(name, None)
            result = {}
        case _ if SERVING.fullmatch(action):
            service, _, operation = action.partition(":")
            operation = operation[0].upper() + operation[1:]
            check_request("sagemaker" if service == "sagemaker" else "application-autoscaling", operation, arguments)
            run.clock.check()
            try:
                result = run.serve(operation, arguments, env)
            except Refused as refused:
                raise failure(env, refused.error, refused.cause) from None
        case "listMapRuns":
            result = {"MapRuns": [map_run.listed() for map_run in run.map_runs if map_run.execution_arn == arguments["ExecutionArn"]]}
        case "listExecutions":
            children = [child for map_run in run.map_runs if map_run.arn == arguments["MapRunArn"] for child in map_run.children]
            if set(arguments) != {"MapRunArn", "StatusFilter"}:
                raise HarnessFault(f"the harness does not know these arguments of ListExecutions: {', '.join(arguments)}")
            found = [child for child in children if child["Status"] == arguments["StatusFilter"]]
            keys = ("ExecutionArn", "MapRunArn", "Name", "StartDate", "StateMachineArn", "Status", "StopDate")
            result = {"Executions": [{key: child[key] for key in keys if key in child} for child in reversed(found)]}
        case "describeExecution":
            known = [*run.executions.values(), *(child for map_run in run.map_runs for child in map_run.children)]
            result = next((one for one in known if one["ExecutionArn"] == arguments["ExecutionArn"]), None)
            if result is None:
                raise failure(env, "Sfn.ExecutionDoesNotExistException", f"Execution Does Not Exist: '{arguments['ExecutionArn']}'")
        case _:
            raise HarnessFault(f"the harness does not know {self.resource.resource_arn}")
    check_payload(env, result, "returned a result")
    env.stack.append(result)
