//! Two small trained networks with ten held-out inputs each, part of the program.

/// A network that can be named instead of given as a file.
#[derive(Debug)]
pub struct Embedded {
    /// What the user calls it.
    pub name: &'static str,
    /// The model.
    pub onnx: &'static [u8],
    /// How a stored value becomes an input.
    pub preprocess: &'static str,
    /// Which file shows what.
    pub labels: &'static str,
    /// File names and contents.
    pub inputs: &'static [(&'static str, &'static [u8])],
}

macro_rules! embedded {
    ($name:literal, $($file:literal)*) => {
        Embedded {
            name: $name,
            onnx: include_bytes!(concat!("../assets/", $name, "/model.onnx")),
            preprocess: include_str!(concat!("../assets/", $name, "/preprocess.toml")),
            labels: include_str!(concat!("../assets/", $name, "/labels.csv")),
            inputs: &[$((
                $file,
                include_bytes!(concat!("../assets/", $name, "/inputs/", $file)),
            )),*],
        }
    };
}

/// All of them; the first is the default.
pub static EMBEDDED: [Embedded; 2] = [
    embedded!("digits",
        "00.png" "01.png" "02.png" "03.png" "04.png" "05.png" "06.png" "07.png" "08.png" "09.png"),
    embedded!("breast-cancer",
        "00.csv" "01.csv" "02.csv" "03.csv" "04.csv" "05.csv" "06.csv" "07.csv" "08.csv" "09.csv"),
];

impl Embedded {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        EMBEDDED.iter().find(|model| model.name == name)
    }

    /// All names, for messages.
    pub fn names() -> String {
        EMBEDDED.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
    }
}
