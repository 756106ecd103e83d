//! A monitor: alarms of CloudWatch on the metrics of an endpoint.

use serde_json::{Value, json};

use super::finish::{Finish, Given, Piece, next};
use super::{Scope, Writer};
use crate::expr::jsonata::{self, braced, constant_code};
use crate::model::{Monitor, StepIx};
use crate::targets::aws::failure;
use crate::targets::aws::monitoring;
use crate::targets::aws::states::{Catcher, Pass, State, Task};

const PUT: &str = "arn:aws:states:::aws-sdk:cloudwatch:putMetricAlarm";
const DELETE: &str = "arn:aws:states:::aws-sdk:cloudwatch:deleteAlarms";
/// How many seconds of requests an alarm sees at once.
const PERIOD: u64 = 300;
/// Of a metric in microseconds.
const MICROSECONDS: f64 = 1000.0;
const NAMESPACE: &str = "AWS/SageMaker";

impl Writer<'_> {
    /// Sets up an alarm for each bound, and removes those of bounds that there are no more.
    pub(super) fn monitor(
        &mut self,
        ix: StepIx,
        monitor: &Monitor,
        scope: &mut Scope,
        finish: &Finish,
        name: &str,
    ) -> Piece {
        let step = self.pipeline.step(ix);
        let path = &step.path;
        let failed = scope.catch();
        let errors = self.name(&format!("Errors of {path}"));
        let end = self.name(&format!("End of {path}"));
        let [latency_alarm, errors_alarm] = monitoring::alarms(&self.endpoint_of(monitor));
        let bounds = [
            (name, &errors, latency_alarm, self.latency(monitor)),
            (&errors, &end, errors_alarm, self.error_rate(monitor)),
        ];
        for (state, then, alarm, bound) in bounds {
            let mut catch = Vec::new();
            if step.timeout.is_some() {
                catch.push(failure::timeout_catcher(path, &failed));
            }
            let (resource, arguments) = match bound {
                Some(bound) => (PUT, self.alarm(&alarm, monitor, bound)),
                None => {
                    catch.push(Catcher {
                        error_equals: vec!["CloudWatch.ResourceNotFoundException".to_owned()],
                        output: Some(json!({})),
                        next: then.clone(),
                        ..Catcher::default()
                    });
                    (DELETE, json!({ "AlarmNames": [alarm] }))
                }
            };
            catch.push(Catcher {
                error_equals: vec!["States.ALL".to_owned()],
                output: Some(Value::String(braced(&not_set_up(monitor, path)))),
                next: failed.clone(),
                ..Catcher::default()
            });
            let task = Task {
                comment: self.comment(ix).filter(|_| state == name),
                resource,
                arguments,
                timeout_seconds: step.timeout,
                catch,
                output: Some(json!({})),
                then: next(then),
                ..Task::default()
            };
            scope.states.insert(state.to_owned(), State::Task(task));
        }
        let done = self.done(finish, scope, &Given::code("null"));
        let index = scope.states.len();
        let exits = done.exits(index);
        let last = Pass {
            assign: done.assign,
            output: done.output,
            then: done.then,
            ..Pass::default()
        };
        scope.states.insert(end, State::Pass(last));
        Piece {
            entry: Some(name.to_owned()),
            exits,
        }
    }

    /// What SageMaker calls the endpoint.
    fn endpoint_of(&self, monitor: &Monitor) -> String {
        let name = self.placeholders.endpoint_names.get(&monitor.endpoint);
        jsonata::placeholder(name.map_or("", String::as_str))
    }

    /// The slowest variant's, as clients see it but for what SageMaker adds.
    fn latency(&self, monitor: &Monitor) -> Option<Bound> {
        let bound = monitor.latency_p95_ms?;
        let mut metrics = self.metrics(monitor, "ModelLatency", "p95", "latency");
        let slowest = format!("MAX([{}])", ids(&metrics).join(", "));
        metrics.insert(0, computed(&slowest));
        Some(Bound {
            metrics,
            threshold: bound * MICROSECONDS,
            what: format!("the 95th percentile of the latency is more than {bound} ms"),
        })
    }

    /// Of all variants together. Requests that are wrong themselves do not count.
    fn error_rate(&self, monitor: &Monitor) -> Option<Bound> {
        let bound = monitor.error_rate?;
        let failed = self.metrics(monitor, "Invocation5XXErrors", "Sum", "failed");
        let all = self.metrics(monitor, "Invocations", "Sum", "all");
        let sum = |metrics: &[Value]| {
            let filled: Vec<String> = ids(metrics).iter().map(|id| format!("FILL({id}, 0)")).collect();
            filled.join(" + ")
        };
        let (failed_sum, all_sum) = (sum(&failed), sum(&all));
        let rate = format!("IF(({all_sum}) > 0, ({failed_sum}) / ({all_sum}), 0)");
        let metrics = std::iter::once(computed(&rate)).chain(failed).chain(all);
        Some(Bound {
            metrics: metrics.collect(),
            threshold: bound,
            what: format!("the share of requests that failed is more than {bound}"),
        })
    }

    /// A metric of each variant.
    fn metrics(&self, monitor: &Monitor, metric: &str, statistic: &str, id: &str) -> Vec<Value> {
        let endpoint = self.endpoint_of(monitor);
        let variants = monitoring::variants(self.pipeline, &monitor.endpoint);
        let one = |(at, variant): (usize, &&str)| {
            json!({
                "Id": format!("{id}{at}"),
                "MetricStat": {
                    "Metric": {
                        "Namespace": NAMESPACE,
                        "MetricName": metric,
                        "Dimensions": [
                            { "Name": "EndpointName", "Value": endpoint },
                            { "Name": "VariantName", "Value": variant },
                        ],
                    },
                    "Period": PERIOD,
                    "Stat": statistic,
                },
                "ReturnData": false,
            })
        };
        variants.iter().enumerate().map(one).collect()
    }

    fn alarm(&self, name: &str, monitor: &Monitor, bound: Bound) -> Value {
        let topic = self.placeholders.alarm_topics.get(&monitor.alert).map(String::as_str);
        json!({
            "AlarmName": name,
            "AlarmDescription": format!("{}: {}", monitor.endpoint, bound.what),
            "AlarmActions": [jsonata::placeholder(topic.unwrap_or_default())],
            "Metrics": bound.metrics,
            "EvaluationPeriods": 1,
            "Threshold": bound.threshold,
            "ComparisonOperator": "GreaterThanThreshold",
            // Nobody asked.
            "TreatMissingData": "notBreaching",
        })
    }
}

/// What an alarm compares.
struct Bound {
    metrics: Vec<Value>,
    threshold: f64,
    what: String,
}

fn computed(expression: &str) -> Value {
    json!({ "Id": "found", "Expression": expression, "ReturnData": true })
}

fn ids(metrics: &[Value]) -> Vec<&str> {
    metrics.iter().filter_map(|metric| metric["Id"].as_str()).collect()
}

/// How setting up failed: by the service's own fault, or else.
fn not_set_up(monitor: &Monitor, path: &str) -> String {
    let cause = format!("{}.Cause", failure::CAUGHT);
    let failed = failure::known(
        Value::from("MonitorFailed"),
        Value::String(format!("the monitor of `{}` could not be set up", monitor.endpoint)),
        path,
    );
    format!(
        "$contains({cause}, /Throttl|Rate exceeded|Status Code: 5/) ? {} : {}",
        constant_code(&failure::unavailable(path)),
        constant_code(&failed),
    )
}
