//! Real networks on real images: the float interpreter against recorded logits, the integer program
//! against the float interpreter.
//!
//! The files are not part of the repository: `SCI_MODELS_DIR` names a folder that holds
//! `models/*.onnx`, `models/models.json` and `data/` with `images.npy`, `labels.csv` and `logits/`.

use athos::calibration::outside;
use athos::preprocess::{ChannelOrder, Layout};
use athos::{
    Calibration, CompileOptions, Limits, OutputForm, Preprocess, Program, cleartext, compile,
    quantise,
};
use sci_core::AnyDomain;
use std::path::{Path, PathBuf};

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SCI_MODELS_DIR").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: SCI_MODELS_DIR is not set");
    }
    folder
}

/// The shape and the raw elements of an array file.
fn npy(path: &Path) -> (Vec<usize>, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..data]).unwrap();
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let axes = shape.split(',').map(str::trim).filter(|axis| !axis.is_empty());
    (axes.map(|axis| axis.parse().unwrap()).collect(), bytes[data..].to_vec())
}

/// The shape and the planes of the first pictures of a data set.
fn pictures(folder: &Path, images: usize) -> (Vec<usize>, Vec<u8>) {
    if folder.join("images.npy").exists() {
        return npy(&folder.join("images.npy"));
    }
    let names = std::fs::read_dir(folder.join("first100_png227")).unwrap();
    let mut names: Vec<PathBuf> = names.map(|name| name.unwrap().path()).collect();
    names.sort();
    let mut planes = Vec::new();
    for name in &names[..images] {
        let picture = image::open(name).unwrap().to_rgb8();
        for channel in 0..3 {
            planes.extend(picture.pixels().map(|pixel| pixel.0[channel]));
        }
    }
    (vec![images, 3, 227, 227], planes)
}

struct Case {
    model: &'static str,
    data: &'static str,
    order: ChannelOrder,
    mean: &'static [f64],
    std: &'static [f64],
    pixel_scale: f64,
    crop: Option<usize>,
    images: usize,
    /// Bits before the binary point that a sum of products needs, sign included.
    integer_bits: u32,
    /// Bits after the binary point, in the first run.
    scale: u32,
    /// Largest difference of a logit, integer from float, in that run. Weights and divisions round
    /// down, so errors of one sign add up; they halve with every further bit.
    tolerance: f32,
}

const IMAGENET: (&[f64], &[f64]) = (&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]);
const MNIST: (&[f64], &[f64]) = (&[0.1307], &[0.3081]);
const NONE: (&[f64], &[f64]) = (&[], &[]);

const fn case(
    model: &'static str,
    data: &'static str,
    order: ChannelOrder,
    (mean, std): (&'static [f64], &'static [f64]),
    images: usize,
    tolerance: f32,
) -> Case {
    let (pixel_scale, crop) = (1.0 / 255.0, None);
    Case {
        model,
        data,
        order,
        mean,
        std,
        pixel_scale,
        crop,
        images,
        integer_bits: 13,
        scale: 12,
        tolerance,
    }
}

/// An input, and what the integer program returned for it.
type Run = (Vec<i64>, Vec<i64>);

fn run(case: &Case) {
    let Some(folder) = folder() else { return };
    let bitwidth = |scale| 2 * scale + case.integer_bits;
    let (program, runs) = check(case, &folder, bitwidth(case.scale), case.scale, case.tolerance);
    narrowed(case.model, program, &runs);
    let scale = case.scale + 6;
    check(case, &folder, bitwidth(scale), scale, case.tolerance / 32.0);
}

fn check(
    case: &Case,
    folder: &Path,
    bitwidth: u32,
    scale: u32,
    tolerance: f32,
) -> (Program, Vec<Run>) {
    let onnx = std::fs::read(folder.join(format!("models/{}.onnx", case.model))).unwrap();
    let preprocess = Preprocess {
        crop: case.crop,
        order: case.order,
        scale: case.pixel_scale,
        mean: case.mean.to_vec(),
        std: case.std.to_vec(),
        ..Preprocess::default()
    };
    let (shape, pixels) = pictures(&folder.join("data").join(case.data), case.images);
    let (logits_shape, logits) = npy(&folder.join(format!("data/logits/{}.npy", case.model)));
    let &[_, channels, height, width] = shape.as_slice() else { panic!("{shape:?}") };
    let classes = logits_shape[1];
    let logits: Vec<f32> =
        logits.as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
    let domain = AnyDomain::ring(bitwidth).unwrap();
    let mut options = CompileOptions::new(domain, scale);
    let classify = compile(&onnx, &options).unwrap();
    options.output = OutputForm::Logits;
    let program = compile(&onnx, &options).unwrap();
    let graph = athos::frontend::onnx::read(&onnx, None).unwrap();
    let (mut float_error, mut fixed_error, mut changed) = (0f32, 0f32, 0);
    let mut runs = Vec::new();
    for image in 0..case.images {
        let plane = channels * height * width;
        let pixels = &pixels[image * plane..][..plane];
        let input = preprocess.apply(pixels, [channels, height, width], Layout::Planar).unwrap();
        let recorded = &logits[image * classes..][..classes];
        let float = graph.evaluate(&input).unwrap();
        let input = quantise(&input, scale, domain).unwrap();
        let fixed = cleartext::run(&program, &input).unwrap();
        runs.push((input.clone(), fixed.clone()));
        let fixed: Vec<f32> = fixed.iter().map(|&v| v as f32 / (1u32 << scale) as f32).collect();
        for ((recorded, float), fixed) in recorded.iter().zip(float.data()).zip(&fixed) {
            float_error = float_error.max((recorded - float).abs());
            fixed_error = fixed_error.max((fixed - float).abs());
        }
        let best = |x: &[f32]| (1..x.len()).fold(0, |b, i| if x[i] > x[b] { i } else { b });
        let class = cleartext::run(&classify, &input).unwrap();
        assert_eq!(class.len(), 1);
        changed += usize::from(class[0] != best(recorded) as i64);
    }
    eprintln!(
        "{} at {scale}: float {float_error:e}, fixed {fixed_error:e}, {changed} changed",
        case.model
    );
    assert!(float_error < 2e-3, "{}: float differs by {float_error}", case.model);
    assert!(fixed_error < tolerance, "{}: fixed differs by {fixed_error}", case.model);
    assert_eq!(changed, 0, "{}: predictions changed", case.model);
    (program, runs)
}

/// Narrowed to the images, a network computes of each what it computed at full width.
fn narrowed(model: &str, mut program: Program, runs: &[Run]) {
    let mut observed = Calibration::new(&program, 1);
    runs.iter().for_each(|(input, _)| observed.observe(&program, input).unwrap());
    athos::narrow(&mut program, &observed, &Limits::default()).unwrap();
    for (input, expected) in runs {
        assert_eq!(outside(&program, input).unwrap(), [], "{model}");
        assert_eq!(&cleartext::run(&program, input).unwrap(), expected, "{model}");
    }
    let readings = program.public.readings();
    let read: u64 = readings.iter().map(|x| x.read()).sum();
    let full: u64 = readings.iter().map(|x| x.full()).sum();
    eprintln!("{model}: {:.1} % of the bits are looked at", 100.0 * read as f64 / full as f64);
    assert!(read < full, "{model}");
}

use ChannelOrder::{Gray, Rgb};

#[test]
fn networks_on_pneumonia_images() {
    run(&case("lenet_pneumoniamnist", "pneumoniamnist", Gray, NONE, 20, 0.5));
}

#[test]
fn networks_on_digits() {
    run(&case("tfe_network_a_mnist", "mnist", Gray, MNIST, 20, 0.5));
    run(&case("tfe_network_b_mnist", "mnist", Gray, MNIST, 20, 0.5));
    run(&case("tfe_network_c_mnist", "mnist", Gray, MNIST, 10, 1.0));
    run(&case("logreg_mnist", "mnist", Gray, NONE, 20, 0.5));
    run(&case("secureml_mlp_mnist", "mnist", Gray, NONE, 20, 0.5));
}

#[test]
fn networks_on_small_pictures() {
    run(&case("minionn_cifar10", "cifar10", Rgb, NONE, 5, 0.5));
    run(&case("resnet20_cifar10", "cifar10", Rgb, IMAGENET, 3, 2.0));
    run(&case("resnet32_cifar100", "cifar100", Rgb, NONE, 3, 6.0));
}

#[test]
fn networks_on_photographs() {
    let squeezenet = Case {
        model: "squeezenet1_0_imagenet",
        data: "imagenet_ccby",
        order: ChannelOrder::Bgr,
        mean: &[104.0, 117.0, 123.0],
        std: &[],
        pixel_scale: 1.0,
        crop: Some(227),
        images: 2,
        integer_bits: 18,
        scale: 12,
        tolerance: 8.0,
    };
    run(&squeezenet);
    let mobilenet = Case {
        model: "mobilenet_v2_imagenet",
        order: Rgb,
        mean: &[1.0],
        pixel_scale: 1.0 / 127.5,
        crop: Some(224),
        scale: 14,
        ..squeezenet
    };
    run(&mobilenet);
}

#[test]
fn every_model_compiles() {
    let Some(folder) = folder() else { return };
    for entry in std::fs::read_dir(folder.join("models")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let mut options = CompileOptions::new(AnyDomain::ring(37).unwrap(), 12);
        if path.to_string_lossy().contains("meshnet") {
            options.input_shape = Some(vec![1, 1, 48, 48, 48]);
        }
        let program = compile(&std::fs::read(&path).unwrap(), &options)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        eprintln!("{}: {} MACs", path.display(), program.public.macs());
        let blob = program.public.to_blob().unwrap();
        let again = athos::PublicProgram::from_blob(&blob, &options.limits).unwrap();
        assert_eq!(again, program.public);
        let bytes = program.to_bytes().unwrap();
        let again = athos::Program::from_bytes(&bytes, &options.limits).unwrap();
        assert_eq!(again.weights, program.weights);
    }
}

/// Voxel by voxel, in fixed point over 37 bits, the classes that the float network was recorded to give.
fn segments(model: &str, scale: u32, agreement: f64) {
    let Some(folder) = folder() else { return };
    let scan = folder.join("data/mri_t1");
    if !scan.exists() {
        eprintln!("skipped: there is no {}", scan.display());
        return;
    }
    let (shape, voxels) = npy(&scan.join("t1_48.npy"));
    let (_, recorded) = npy(&scan.join(format!("{model}_labels_48.npy")));
    assert_eq!(shape, [48, 48, 48]);
    let onnx = std::fs::read(folder.join(format!("models/{model}.onnx"))).unwrap();
    let domain = AnyDomain::ring(37).unwrap();
    let mut options = CompileOptions::new(domain, scale);
    options.input_shape = Some([&[1, 1], shape.as_slice()].concat());
    let program = compile(&onnx, &options).unwrap();
    // One index a voxel: the axis of the channels is gone.
    assert_eq!(program.public.output().unwrap().shape, [1, 48, 48, 48]);
    let input: Vec<f32> = voxels.iter().map(|&v| f32::from(v) / 255.0).collect();
    let input = quantise(&input, scale, domain).unwrap();
    let classes = cleartext::run(&program, &input).unwrap();
    assert_eq!(classes.len(), recorded.len());
    let same = classes.iter().zip(&recorded).filter(|(a, b)| **a == i64::from(**b)).count();
    let part = same as f64 / recorded.len() as f64;
    eprintln!("{model} at {scale}: {same} of {} voxels agree", recorded.len());
    assert!(part >= agreement, "{model}: {same} of {} voxels agree", recorded.len());
}

#[test]
fn volumes_are_segmented_voxel_by_voxel() {
    segments("meshnet3d_5ch_t1_3class", 15, 0.998);
    segments("meshnet3d_11ch_t1_3class", 14, 0.998);
}
