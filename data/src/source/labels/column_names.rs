//! Known names of columns.

/// Names of image columns, the most specific first: `id,filename,label` has the images in `filename`.
pub(super) const IMAGE_COLUMNS: [&[&str]; 3] = [
    &[
        "file",
        "filename",
        "filepath",
        "path",
        "filepaths",
        "imagepath",
        "imgpath",
        "imagefile",
        "imagefilename",
        "relativepath",
        "relpath",
        "fname",
    ],
    &[
        "image",
        "img",
        "imageid",
        "imgid",
        "imagename",
        "imgname",
        "imageindex",
        "idcode",
        "isicid",
        "photo",
        "photoid",
        "picture",
        "pictureid",
    ],
    &["id", "name"],
];
/// Names of label columns.
const LABEL_COLUMNS: [&str; 24] = [
    "label",
    "labels",
    "labelid",
    "labelname",
    "class",
    "classes",
    "classid",
    "classname",
    "classlabel",
    "category",
    "categoryid",
    "categoryname",
    "target",
    "wnid",
    "synset",
    "breed",
    "species",
    "variety",
    "dx",
    "diagnosis",
    "groundtruth",
    PREDICTION,
    "labelidx",
    "classidx",
];
/// Kaggle's column, in which the first word is the label.
pub(super) const PREDICTION: &str = "predictionstring";

/// Whether a text is a name of label columns.
pub(super) fn is_label_name(text: &str) -> bool {
    LABEL_COLUMNS.contains(&normalize(text).as_str())
}

/// Whether a normalized text is a name of image columns.
pub(super) fn is_image_name(name: &str) -> bool {
    IMAGE_COLUMNS.iter().any(|tier| tier.contains(&name))
}

/// Normalizes a column name: no case, spaces or punctuation.
pub(super) fn normalize(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
