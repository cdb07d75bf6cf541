//! Several streams at work at the same time.
//!
//! The chunks of an operation are spread over lanes. Each lane has a thread of its own, and at most
//! as many of them compute at a time as there are [`Permits`]; the others wait for the link. All
//! lanes start at the same depth and the operation ends at the greatest, so its rounds are those of
//! its slowest lane, not their sum.

use super::{Permits, Stream};
use crate::{Error, Result};
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Something that works over a stream of its own: the stream, or a stream with the state of a
/// protocol around it.
pub trait Lane {
    /// The stream of this lane.
    fn stream(&mut self) -> &mut Stream;
}

impl Lane for Stream {
    fn stream(&mut self) -> &mut Stream {
        self
    }
}

impl<L: Lane> Lane for &mut L {
    fn stream(&mut self) -> &mut Stream {
        (**self).stream()
    }
}

/// Brings all lanes to the greatest depth among them: what follows depends on all of them. To be
/// called by both parties at the same point of the protocol. Returns that depth.
pub fn align<L: Lane>(lanes: &mut [L]) -> u32 {
    let depth = lanes.iter_mut().map(|lane| lane.stream().depth()).max().unwrap_or(0);
    for lane in lanes {
        lane.stream().set_depth(depth);
    }
    depth
}

/// Runs `job` once per lane, each on a thread of its own with a permit, and aligns the lanes before
/// and after. Returns the results in the order of the lanes.
///
/// # Errors
/// The first error of any lane, or [`Error::Resource`] if a thread cannot be started; the session
/// is given up, so that the other lanes end at their next use of the link.
///
/// # Panics
/// With the panic of a job, after all lanes have ended.
pub fn run<L: Lane + Send, T: Send>(
    lanes: &mut [L],
    permits: &Arc<Permits>,
    job: impl Fn(usize, &mut L) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    align(lanes);
    let first_error = Mutex::new(None);
    let work = |index: usize, lane: &mut L| {
        lane.stream().attach_permits(permits, 1);
        let result = catch_unwind(AssertUnwindSafe(|| job(index, lane)));
        lane.stream().detach_permits();
        match result {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => {
                let mut first = first_error.lock();
                let error = lane.stream().give_up(error);
                first.get_or_insert(error);
                None
            }
            Err(panic) => {
                let _ = lane.stream().give_up(Error::link_closed("a lane panicked"));
                resume_unwind(panic)
            }
        }
    };
    let mut results = Vec::with_capacity(lanes.len());
    if let [lane] = lanes {
        results.push(work(0, lane));
    } else {
        std::thread::scope(|scope| {
            let mut threads = Vec::with_capacity(lanes.len());
            for (index, lane) in lanes.iter_mut().enumerate() {
                // A lane that gets no thread ends the session; those that run will notice.
                let (work, first_error) = (&work, &first_error);
                let cell = Arc::new(Mutex::new(Some(lane)));
                let inner = Arc::clone(&cell);
                let spawned = std::thread::Builder::new()
                    .name(format!("lane-{index}"))
                    .spawn_scoped(scope, move || {
                        let lane = inner.lock().take();
                        lane.and_then(|lane| work(index, lane))
                    });
                match spawned {
                    Ok(thread) => threads.push(thread),
                    Err(e) => {
                        let error = Error::resource(format!("cannot start a lane thread: {e}"));
                        let mut first = first_error.lock();
                        if let Some(lane) = cell.lock().take() {
                            first.get_or_insert(lane.stream().give_up(error));
                        }
                        break;
                    }
                }
            }
            let mut panic = None;
            for thread in threads {
                match thread.join() {
                    Ok(result) => results.push(result),
                    Err(payload) => panic = Some(payload),
                }
            }
            if let Some(payload) = panic {
                resume_unwind(payload);
            }
        });
    }
    if let Some(error) = first_error.into_inner() {
        return Err(error);
    }
    align(lanes);
    results
        .into_iter()
        .collect::<Option<Vec<T>>>()
        .ok_or_else(|| Error::misuse("a lane ended without a result"))
}
