//! What does it look like?

use std::path::Path;

use anyhow::Result;

use crate::results::Results;

pub fn draw(_results: &Results, _directory: &Path) -> Result<()> {
    Ok(())
}
