//! A block: each step as soon as all that it follows has ended, then the outputs.

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Map, Value};

use crate::model::{Block, Join, StepIx};

use super::Event;
use super::run::{self, Shared, Stop};
use super::scope::{self, Cells, Ended, Layer, Scope};
use super::step;

/// Runs the steps of a block and evaluates its outputs; `name` is the step that a failure of those is of.
/// The first failed step ends it: what runs beside it is dropped, nothing more starts.
pub async fn run(
    shared: &Shared<'_, '_>,
    block: &Block,
    outer: &Scope<'_>,
    name: &str,
) -> Result<Map<String, Value>, Stop> {
    let cells = scope::cells(shared.pipeline, block);
    let scope = outer.with(Layer::Block(&cells));
    let mut open: std::collections::BTreeMap<StepIx, usize> = block
        .steps
        .iter()
        .map(|ix| (*ix, shared.pipeline.step(*ix).after.len()))
        .collect();
    let followers = followers(shared, block);
    let mut running: FuturesUnordered<LocalBoxFuture<'_, Result<(StepIx, Ended), Stop>>> = FuturesUnordered::new();
    let ready = block.steps.iter().filter(|ix| open.get(ix) == Some(&0));
    for ix in ready {
        running.push(Box::pin(begin(shared, *ix, &cells, &scope)));
    }
    while let Some(result) = running.next().await {
        let (ix, ended) = result?;
        if let Some(cell) = cells.get(shared.pipeline.step(ix).path.as_str()) {
            let _ = cell.set(ended);
        }
        for next in followers.get(&ix).into_iter().flatten() {
            if let Some(count) = open.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    running.push(Box::pin(begin(shared, *next, &cells, &scope)));
                }
            }
        }
    }
    let mut outputs = Map::new();
    for (output, template) in &block.outputs {
        outputs.insert(output.clone(), run::value(template, "outputs", name, &scope)?);
    }
    Ok(outputs)
}

fn followers(shared: &Shared<'_, '_>, block: &Block) -> std::collections::BTreeMap<StepIx, Vec<StepIx>> {
    let mut followers: std::collections::BTreeMap<StepIx, Vec<StepIx>> = std::collections::BTreeMap::new();
    for ix in &block.steps {
        for earlier in &shared.pipeline.step(*ix).after {
            followers.entry(*earlier).or_default().push(*ix);
        }
    }
    followers
}

/// All that the step follows has ended: skips it or runs it.
async fn begin(
    shared: &Shared<'_, '_>,
    ix: StepIx,
    cells: &Cells<'_>,
    scope: &Scope<'_>,
) -> Result<(StepIx, Ended), Stop> {
    let step = shared.pipeline.step(ix);
    let skipped = |need: &StepIx| {
        let cell = cells.get(shared.pipeline.step(*need).path.as_str());
        matches!(cell.and_then(|cell| cell.get()), Some(Ended::Skipped))
    };
    let skip = match step.join {
        Join::All => step.needs.iter().any(skipped),
        Join::Any => !step.needs.is_empty() && step.needs.iter().all(skipped),
    };
    if skip || !step::condition(step.when.as_ref(), "when", &step.path, scope)? {
        shared.tell(Event::Skipped {
            step: &scope.label(&step.path),
        });
        return Ok((ix, Ended::Skipped));
    }
    shared.enter(&step.path);
    step::run(shared, ix, scope).await.map(|ended| (ix, ended))
}
