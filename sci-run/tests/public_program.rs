//! What a client is sent holds no weight.

use sci_run::cli::Plan;
use sci_run::embedded::EMBEDDED;
use sci_run::model::Source;

/// Reads a protobuf varint.
fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

/// The length-delimited fields of a message with this number.
fn fields(mut message: &[u8], number: u64) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let len = match key & 7 {
            0 => {
                varint(&mut message);
                continue;
            }
            1 => 8,
            5 => 4,
            _ => varint(&mut message) as usize,
        };
        let (field, rest) = message.split_at(len);
        message = rest;
        if key >> 3 == number && key & 7 == 2 {
            found.push(field);
        }
    }
    found
}

/// All float initialisers of an ONNX file: model.graph (7), graph.initializer (5), raw_data (9).
fn initialisers(onnx: &[u8]) -> Vec<f32> {
    let tensors = fields(onnx, 7).into_iter().flat_map(|graph| fields(graph, 5));
    let raw = tensors.flat_map(|tensor| fields(tensor, 9));
    raw.flat_map(|raw| raw.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))).collect()
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// A signed integer as the blob's encoder writes it.
fn zigzag(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    let mut out = Vec::new();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

#[test]
fn no_weight_in_any_encoding() {
    for model in &EMBEDDED {
        let program = Source::Embedded(model).load(&Plan::default()).unwrap();
        let blob = program.public.to_blob().unwrap();
        let weights = initialisers(model.onnx);
        assert!(weights.len() > 500, "{}: {} weights", model.name, weights.len());
        for &weight in weights.iter().filter(|w| w.abs() > 1e-3 && w.fract() != 0.0) {
            let shown = format!("{}: {weight}", model.name);
            assert!(contains(model.onnx, &weight.to_le_bytes()), "the search works");
            assert!(!contains(&blob, &weight.to_le_bytes()), "{shown} as f32");
            assert!(!contains(&blob, &f64::from(weight).to_le_bytes()), "{shown} as f64");
            // The leading zeros of a small positive integer occur by chance, the ones of a
            // negative integer do not.
            let fixed = (f64::from(weight) * 4096.0).floor();
            if fixed < 0.0 {
                assert!(!contains(&blob, &(fixed as i32).to_le_bytes()), "{shown} as i32");
                assert!(!contains(&blob, &(fixed as i64).to_le_bytes()), "{shown} as i64");
            }
        }
        for id in 0..program.weights.len() {
            let id = athos::WeightId(id as u32);
            let table = program.weights.get(id).unwrap().to_signed();
            for run in table.windows(4).filter(|run| run.iter().any(|w| w.abs() >= 16)) {
                let narrow: Vec<u8> = run.iter().flat_map(|&w| (w as i16).to_le_bytes()).collect();
                let wide: Vec<u8> = run.iter().flat_map(|&w| (w as i32).to_le_bytes()).collect();
                let whole: Vec<u8> = run.iter().flat_map(|&w| w.to_le_bytes()).collect();
                let packed: Vec<u8> = run.iter().flat_map(|&w| zigzag(w)).collect();
                for (form, bytes) in
                    [("i16", narrow), ("i32", wide), ("i64", whole), ("varints", packed)]
                {
                    assert!(!contains(&blob, &bytes), "{}: {id} as {form}", model.name);
                }
            }
        }
    }
}
