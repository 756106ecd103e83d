//! Subworkflows that compute what one expression of Workflows cannot.

use serde_json::Value;

use super::steps::{Action, Case, Items, Routine, Step, Then};
use super::workflow::ASSIGNMENTS;
use crate::expr::workflows::Statement;

/// A generated subworkflow for one expression.
pub fn of_expression(routine: &crate::expr::workflows::Routine) -> Routine {
    let mut count = 0;
    let mut steps = statements(&routine.body, &mut count);
    steps.push(Step::new("done", Action::Return(routine.result.clone())));
    Routine {
        name: routine.name.clone(),
        comment: "An expression of pipeline.yaml that does not fit into one of Workflows.".to_owned(),
        params: routine.params.clone(),
        steps,
    }
}

fn statements(list: &[Statement], count: &mut usize) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for statement in list {
        let mut next = |kind: &str| {
            *count += 1;
            format!("{kind}_{count}")
        };
        match statement {
            Statement::Assign(variable, value) => {
                let entry = (variable.clone(), value.clone());
                match steps.last_mut().map(|step| &mut step.action) {
                    Some(Action::Assign(entries)) if entries.len() < ASSIGNMENTS => entries.push(entry),
                    _ => steps.push(Step::new(next("assign"), Action::Assign(vec![entry]))),
                }
            }
            Statement::For { item, list, body } => {
                let name = next("each");
                steps.push(Step::new(
                    name,
                    Action::For {
                        value: item.clone(),
                        items: Items::In(Value::String(format!("${{{list}}}"))),
                        steps: statements(body, count),
                    },
                ));
            }
            Statement::Switch {
                condition,
                then,
                otherwise,
            } => {
                let name = next("if");
                let mut cases = vec![Case {
                    condition: condition.clone(),
                    then: Then::Steps(statements(then, count)),
                }];
                if !otherwise.is_empty() {
                    cases.push(Case {
                        condition: "true".to_owned(),
                        then: Then::Steps(statements(otherwise, count)),
                    });
                }
                steps.push(Step::new(name, Action::Switch(cases)));
            }
        }
    }
    steps
}
