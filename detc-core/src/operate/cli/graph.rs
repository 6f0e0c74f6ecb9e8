//! `graph`: draw a plan.

use super::args::{Drawing, GraphArgs};
use super::error::Failed;
use super::open::{Access, Session};
use super::output::Output;
use super::{DONE, plan, progress};
use crate::plan::render::{self, GraphFormat};
use crate::plan::{Selection, file};

pub(super) async fn run(session: Session, args: GraphArgs, output: &Output) -> Result<u8, Failed> {
    let format = match args.format {
        Drawing::Dot => GraphFormat::Dot,
        Drawing::Mermaid => GraphFormat::Mermaid,
        Drawing::Svg => GraphFormat::Svg,
    };
    if let Some(path) = &args.plan {
        let drawn = render::graph(&file::open(path)?.plan, format);
        output.result(|out| out.write_all(drawn.as_bytes()))?;
        return Ok(DONE);
    }
    let (desired, manager) = session.open(Access::Look).await?;
    let planned = manager.plan_with(&desired, &Selection::all(), &mut progress::looking(output)).await?;
    let drawn = render::graph(&planned.plan, format);
    output.result(|out| out.write_all(drawn.as_bytes()))?;
    plan::leave(manager, (desired, planned)).await?;
    Ok(DONE)
}
