//! Progress on standard error: a bar when a person watches, plain lines when not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::interrupt::Interrupts;
use super::output::Output;
use crate::execute::{NodeEnd, Progress, ProgressSink};
use crate::manage::spoken;
use crate::plan::Plan;
use crate::plan::render::plain;

/// A bar is worth showing only for work that takes longer than this.
const BAR_AFTER: Duration = Duration::from_millis(300);

/// Progress of looking at resources before a plan.
pub(super) fn looking(output: &Output) -> ProgressSink {
    if output.quiet || !output.bars {
        return Box::new(|_| {});
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(
        ProgressStyle::with_template("{spinner} looking at {pos} resources: {msg}")
            .expect("invariant: the template is right"),
    );
    let began = Instant::now();
    Box::new(move |progress| {
        if let Progress::Observing { resource } = progress
            && began.elapsed() > BAR_AFTER
        {
            bar.set_message(resource.to_string());
            bar.inc(1);
        }
    })
}

/// Progress of a run of `plan`, of which an interrupt tells what is in flight.
pub(super) fn running(plan: &Arc<Plan>, output: &Output, interrupts: &Interrupts) -> ProgressSink {
    interrupts.running();
    let interrupts = interrupts.clone();
    let plan = plan.clone();
    if output.quiet {
        return Box::new(move |progress| interrupts.note(&plan, progress));
    }
    let mut lines = Lines {
        plan,
        output: *output,
        interrupts,
        bar: None,
        total: 0,
        ended: 0,
        printed: 0,
        began: Instant::now(),
    };
    Box::new(move |progress| {
        lines.interrupts.note(&lines.plan, progress);
        lines.show(progress);
    })
}

/// How many lines of actions that went well are printed before only a count goes on: a thousand lines tell nobody more.
const LINES_MAX: usize = 200;

struct Lines {
    plan: Arc<Plan>,
    output: Output,
    interrupts: Interrupts,
    bar: Option<ProgressBar>,
    total: usize,
    ended: usize,
    printed: usize,
    began: Instant,
}

impl Lines {
    fn show(&mut self, progress: &Progress<'_>) {
        match progress {
            Progress::Began { actions, ended } => self.begin(*actions, *ended),
            Progress::Applying { action, attempt } => {
                if self.output.verbose || *attempt > 1 {
                    let again = if *attempt > 1 { format!(", try {attempt}") } else { String::new() };
                    self.line(&format!("  … {}{again}", self.plan.action_id(*action)));
                }
                self.message(&self.plan.action_id(*action));
            }
            Progress::Delayed { action, delay, why } => {
                let id = self.plan.action_id(*action);
                self.line(&format!("  ↻ {id}: again in {}: {}", spoken(*delay), plain(first_line(why))));
            }
            Progress::Ended { action, end, took, remark } => self.end(*action, end, *took, *remark),
            Progress::Stopping => {
                self.line("Stopping: what is in flight is finished. Interrupt again to leave at once.");
            }
            Progress::Over { .. } => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                if self.printed > LINES_MAX {
                    self.line(&format!("  {} of {} actions have ended", self.ended, self.total));
                }
            }
            Progress::Observing { .. } => {}
        }
    }

    fn begin(&mut self, actions: usize, ended: usize) {
        (self.total, self.ended) = (actions, ended);
        if self.output.bars {
            let bar =
                ProgressBar::with_draw_target(Some(actions as u64), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
            bar.set_style(style.expect("invariant: the template is right").progress_chars("━━╌"));
            bar.set_position(ended as u64);
            self.interrupts.drawn(&bar);
            self.bar = Some(bar);
        }
        if ended > 0 {
            self.line(&format!("Resuming: {ended} of {actions} actions had ended."));
        }
    }

    fn end(&mut self, action: u32, end: &NodeEnd, took: Duration, remark: Option<&str>) {
        self.ended += 1;
        let (red, green, reset) =
            if self.output.color_err { ("\x1b[31m", "\x1b[32m", "\x1b[0m") } else { ("", "", "") };
        let id = || self.plan.action_id(action);
        let line = match end {
            NodeEnd::Done | NodeEnd::Satisfied => {
                self.printed += 1;
                if self.printed > LINES_MAX && !self.output.verbose && remark.is_none() {
                    self.tick();
                    return;
                }
                let remark = remark.map(|remark| format!(": {}", plain(remark))).unwrap_or_default();
                let already = if *end == NodeEnd::Satisfied { ", as it was" } else { "" };
                format!("  {green}✓{reset} {} ({}{already}){remark}", id(), spoken(took))
            }
            // The whole story is in the result. A line that tells it here as well would be read twice.
            NodeEnd::Failed(_) => format!("  {red}✗{reset} {}: failed after {}", id(), spoken(took)),
            NodeEnd::InDoubt(_) => format!("  {red}?{reset} {}: in doubt", id()),
            NodeEnd::Held(_) => format!("  {red}↯{reset} {}: held back", id()),
            NodeEnd::NotReached(_) if !self.output.verbose => {
                self.tick();
                return;
            }
            NodeEnd::NotReached(because) => {
                format!("  - {}: not reached, it comes after {}", id(), self.plan.action_id(*because))
            }
        };
        self.line(&line);
        self.tick();
    }

    fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.set_position(self.ended as u64);
        }
    }

    fn message(&self, text: &str) {
        if let Some(bar) = self.bar.as_ref().filter(|_| self.began.elapsed() > BAR_AFTER) {
            bar.set_message(text.to_owned());
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => self.output.say_painted(text),
        }
    }
}

/// The first line of a message: progress is a line for each thing.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
