//! How is a pool shown to a person, to a program, or to a debugger?
//!
//! To a debugger by a table, which stands apart in `debugger.rs`; to the others on a stream of the caller's.
//! No lock of ours is held meanwhile: whoever has the stream's may wait for one of ours. So what is written of
//! a pool among all is fetched piece by piece, and a pool that goes in the middle ends its report.

pub mod debugger;
mod head;
mod json;
mod openmetrics;
mod stream;
mod text;

use self::head::Head;
pub use self::stream::Stream;
use crate::collection::body::Collection;
use crate::collection::registry;
use crate::os;
use crate::pool::holders::Callers;
use crate::pool::stats::mempool_stats;

/// What a report looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines for a person.
    Text,
    /// One line for a program.
    Json,
}

/// Which pool is reported.
#[derive(Clone, Copy)]
enum Which<'a> {
    /// One that stays.
    Live(&'a Collection),
    /// One that may go meanwhile.
    At(registry::Place),
}

impl Which<'_> {
    /// The figures of a class; none if there is no such class, or no such pool any more.
    #[inline(never)]
    fn figures(self, class: usize) -> Option<mempool_stats> {
        match self {
            Which::Live(collection) => collection.class_figures(class),
            // The lock goes with the statement.
            Which::At(place) => registry::lock().at(place)?.class_figures(class),
        }
    }
}

impl Which<'_> {
    /// Who has a class's entries, if it records that.
    #[inline(never)]
    fn callers(self, class: usize) -> Option<Callers> {
        let of = |collection: &Collection| collection.pools().get(class)?.callers();
        match self {
            Which::Live(collection) => of(collection),
            // The lock goes with the statement.
            Which::At(place) => registry::lock().at(place).and_then(of),
        }
    }
}

/// Reports one pool.
pub fn one(collection: &Collection, out: Stream, form: Form) {
    report(&Head::of(collection), Which::Live(collection), out, form);
}

/// Reports every pool there is, the newest first. O(pools log pools).
pub fn all(out: Stream, form: Form) {
    let mut walk = registry::lock().walk();
    loop {
        // The lock goes with each of these statements.
        let Some(at) = registry::lock().step(&mut walk) else { return };
        let head = registry::lock().at(at).map(Head::of);
        if let Some(head) = head {
            report(&head, Which::At(at), out, form);
        }
    }
}

/// Shows the figures of every pool there is to a monitor. O(pools log pools) for each figure.
pub fn metrics(out: Stream) {
    for family in &openmetrics::FAMILIES {
        os::without_cancellation(|| family.write_head(out));
        let mut walk = registry::lock().walk();
        loop {
            // The lock goes with each of these statements.
            let Some(at) = registry::lock().step(&mut walk) else { break };
            let Some(head) = registry::lock().at(at).map(Head::of) else { continue };
            let classes = (0..).map_while(|class| Which::At(at).figures(class));
            os::without_cancellation(|| {
                classes.for_each(|class| family.write_sample(&head, &class, out));
            });
        }
    }
    os::without_cancellation(|| out.text(b"# EOF\n"));
}

#[cold]
#[inline(never)]
fn report(head: &Head, which: Which<'_>, out: Stream, form: Form) {
    os::without_cancellation(|| {
        let classes = || (0..).map_while(|class| which.figures(class));
        match form {
            Form::Text => {
                text::write_head(head, out);
                classes().for_each(|class| text::write_row(&class, out));
                classes().for_each(|class| text::write_advice(&class, out));
                for (i, class) in classes().enumerate() {
                    if let Some(callers) = which.callers(i) {
                        text::write_callers(class.elem_size, &callers, out);
                    }
                }
            }
            Form::Json => {
                json::write_head(head, out);
                for (i, class) in classes().enumerate() {
                    json::write_class(&class, which.callers(i).as_ref(), i > 0, out);
                }
                out.text(b"]}\n");
            }
        }
    });
}
