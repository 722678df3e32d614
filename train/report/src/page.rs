//! Pages and their sections.

use askama::Template;

use crate::image::{Card, ImageData};
use crate::plots;
use crate::{Chart, HeatMap, Result, Table};

/// A page: a title, an introduction and sections.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    introduction: String,
    groups: Vec<String>,
    sections: Vec<Section>,
}

/// A section of a page.
#[derive(Clone, Debug)]
pub struct Section {
    title: String,
    blocks: Vec<Block>,
}

/// A block of a section.
#[derive(Clone, Debug)]
enum Block {
    Heading(String),
    Text(String),
    Table(Table),
    Plot(Plot),
    Image { image: ImageData, caption: String },
    Cards { title: String, cards: Vec<Card> },
    Listing { title: String, text: String },
    Details { summary: String, text: String },
}

/// A chart or a heat map, ready for the script.
#[derive(Clone, Debug)]
struct Plot {
    title: String,
    description: String,
    json: String,
    /// Values, and whether the scale is logarithmic at first; of a line chart.
    lines: Option<(Table, bool)>,
}

impl Page {
    /// A page without sections.
    pub fn new(title: impl Into<String>, introduction: impl Into<String>) -> Self {
        Self { title: title.into(), introduction: introduction.into(), groups: Vec::new(), sections: Vec::new() }
    }

    /// Sets the names of the groups of lines, such as runs: if there are several, each has a check box that shows and
    /// hides its lines in all charts, and a colour of its own in them.
    pub fn set_groups(&mut self, names: Vec<String>) {
        self.groups = names;
    }

    /// Adds a section.
    pub fn section(&mut self, title: impl Into<String>) -> &mut Section {
        let number = self.sections.len();
        self.sections.push(Section { title: title.into(), blocks: Vec::new() });
        &mut self.sections[number]
    }

    /// The page as an HTML document in UTF-8.
    ///
    /// # Errors
    /// [`Error::Page`](crate::Error::Page) if memory for it cannot be had.
    pub fn to_html(&self) -> Result<String> {
        let has_plots = self.sections.iter().flat_map(|one| &one.blocks).any(|block| matches!(block, Block::Plot(_)));
        let library = if has_plots { plots::library() } else { String::new() };
        Ok(Document { page: self, library: &library, style: STYLE, script: SCRIPT }.render()?)
    }
}

impl Section {
    /// Adds a heading below that of the section.
    pub fn heading(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Heading(text.into()));
    }

    /// Adds a paragraph.
    pub fn text(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Text(text.into()));
    }

    /// Adds a table.
    pub fn table(&mut self, table: Table) {
        self.blocks.push(Block::Table(table));
    }

    /// Adds a line chart.
    pub fn chart(&mut self, chart: Chart) {
        let plot = Plot {
            description: chart.description(),
            json: plots::chart(&chart),
            lines: Some((chart.values(), chart.is_logarithmic)),
            title: chart.title,
        };
        self.blocks.push(Block::Plot(plot));
    }

    /// Adds a heat map.
    pub fn heat_map(&mut self, map: HeatMap) {
        let plot = Plot { description: map.description(), json: plots::heat_map(&map), lines: None, title: map.title };
        self.blocks.push(Block::Plot(plot));
    }

    /// Adds an image with a caption.
    pub fn image(&mut self, image: ImageData, caption: impl Into<String>) {
        self.blocks.push(Block::Image { image, caption: caption.into() });
    }

    /// Adds a list of images with bars.
    pub fn cards(&mut self, title: impl Into<String>, cards: Vec<Card>) {
        self.blocks.push(Block::Cards { title: title.into(), cards });
    }

    /// Adds a text whose lines and spaces are kept, such as commands.
    pub fn listing(&mut self, title: impl Into<String>, text: impl Into<String>) {
        self.blocks.push(Block::Listing { title: title.into(), text: text.into() });
    }

    /// Adds a listing that is folded away at first.
    pub fn details(&mut self, summary: impl Into<String>, text: impl Into<String>) {
        self.blocks.push(Block::Details { summary: summary.into(), text: text.into() });
    }
}

const STYLE: &str = include_str!("../templates/page.css");
const SCRIPT: &str = include_str!("../templates/page.js");

#[derive(Template)]
#[template(path = "page.html")]
struct Document<'a> {
    page: &'a Page,
    library: &'a str,
    style: &'a str,
    script: &'a str,
}
