//! Time for waits: real, or virtual where waits are only recorded.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// What is due when, in seconds from the start of the run.
pub struct Clock<T> {
    started: Instant,
    virtual_now: Option<f64>,
    due: BinaryHeap<Due<T>>,
    count: u64,
}

struct Due<T> {
    at: f64,
    order: u64,
    what: T,
}

impl<T> Clock<T> {
    /// A clock at zero.
    pub fn new(is_virtual: bool) -> Self {
        Self {
            started: Instant::now(),
            virtual_now: is_virtual.then_some(0.0),
            due: BinaryHeap::new(),
            count: 0,
        }
    }

    fn now(&self) -> f64 {
        self.virtual_now.unwrap_or_else(|| self.started.elapsed().as_secs_f64())
    }

    /// Schedules `what`.
    pub fn after(&mut self, seconds: f64, what: T) {
        self.count += 1;
        self.due.push(Due {
            at: self.now() + seconds,
            order: self.count,
            what,
        });
    }

    /// How long to wait for the next event: zero on a virtual clock, None where nothing is due.
    pub fn until_next(&self) -> Option<Duration> {
        let next = self.due.peek()?;
        match self.virtual_now {
            Some(_) => Some(Duration::ZERO),
            None => Some(Duration::try_from_secs_f64((next.at - self.now()).max(0.0)).unwrap_or(Duration::MAX)),
        }
    }

    /// True on a virtual clock: it moves only when nothing runs.
    pub fn is_virtual(&self) -> bool {
        self.virtual_now.is_some()
    }

    /// Takes the next event if its time has come; a virtual clock moves to it.
    pub fn pop(&mut self) -> Option<T> {
        if !self.is_virtual() && self.due.peek()?.at > self.now() {
            return None;
        }
        let next = self.due.pop()?;
        if let Some(now) = &mut self.virtual_now {
            *now = now.max(next.at);
        }
        Some(next.what)
    }
}

impl<T> Ord for Due<T> {
    /// The earliest is the greatest, for the heap; of one time, the first scheduled.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.order.cmp(&self.order))
    }
}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Due<T> {}
