//! The registry: one function an operator.

mod elementwise;
mod linear;
mod pool;
mod reduce;
mod select;
mod shape;
mod terminal;
mod transposed;

use super::Value;
use super::attributes::Attributes;
use super::call::{Call, Read};

type Reader = for<'a> fn(&mut Call<'a, '_>, Attributes<'a>) -> Read<Value<'a>>;

/// An operator: its name, the attributes whose meaning is known, its reader.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) attributes: &'static [&'static str],
    pub(super) read: Reader,
}

const fn entry(name: &'static str, attributes: &'static [&'static str], read: Reader) -> Entry {
    Entry { name, attributes, read }
}

const WINDOW: &[&str] = &["auto_pad", "dilations", "kernel_shape", "pads", "strides", "group"];
const TRANSPOSED: &[&str] = &[
    "auto_pad",
    "dilations",
    "kernel_shape",
    "pads",
    "strides",
    "group",
    "output_padding",
    "output_shape",
];
const REDUCE: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
const POOL: &[&str] = &[
    "auto_pad",
    "dilations",
    "kernel_shape",
    "pads",
    "strides",
    "ceil_mode",
    "storage_order",
    "count_include_pad",
];

pub(super) const REGISTRY: &[Entry] = &[
    entry("Abs", &[], elementwise::abs),
    entry("Add", &[], elementwise::add),
    entry("ArgMax", &["axis", "keepdims", "select_last_index"], terminal::arg_max),
    entry("AveragePool", POOL, pool::average_pool),
    entry(
        "BatchNormalization",
        &["epsilon", "momentum", "spatial", "training_mode"],
        linear::batch_normalization,
    ),
    entry("Cast", &["to", "saturate"], elementwise::cast),
    entry("Clip", &["min", "max"], elementwise::clip),
    entry("Concat", &["axis"], shape::concat),
    entry(
        "Constant",
        &["value", "value_float", "value_floats", "value_int", "value_ints"],
        shape::constant,
    ),
    entry("ConstantOfShape", &["value"], shape::constant_of_shape),
    entry("Conv", WINDOW, linear::conv),
    entry("ConvTranspose", TRANSPOSED, transposed::conv_transpose),
    entry("Div", &[], elementwise::div),
    entry("Dropout", &["ratio", "seed"], elementwise::dropout),
    entry("Flatten", &["axis"], shape::flatten),
    entry("Gather", &["axis"], select::gather),
    entry("Gemm", &["alpha", "beta", "transA", "transB"], linear::gemm),
    entry("GlobalAveragePool", &[], pool::global_average_pool),
    entry("GlobalMaxPool", &[], pool::global_max_pool),
    entry("Identity", &[], elementwise::identity),
    entry("LeakyRelu", &["alpha"], elementwise::leaky_relu),
    entry("LogSoftmax", &["axis"], terminal::log_softmax),
    entry("MatMul", &[], linear::mat_mul),
    entry("Max", &[], elementwise::max),
    entry("MaxPool", POOL, pool::max_pool),
    entry("Min", &[], elementwise::min),
    entry("Mul", &[], elementwise::mul),
    entry("Neg", &[], elementwise::neg),
    entry("PRelu", &[], elementwise::p_relu),
    entry("Pad", &["mode", "pads", "value"], select::pad),
    entry("ReduceMax", REDUCE, reduce::max),
    entry("ReduceMean", REDUCE, reduce::mean),
    entry("Relu", &[], elementwise::relu),
    entry("Reshape", &["allowzero"], shape::reshape),
    entry("Shape", &["start", "end"], shape::shape),
    entry("Slice", &["starts", "ends", "axes"], select::slice),
    entry("Softmax", &["axis"], terminal::softmax),
    entry("Split", &["axis", "split", "num_outputs"], select::split),
    entry("Squeeze", &["axes"], shape::squeeze),
    entry("Sub", &[], elementwise::sub),
    entry("Sum", &[], elementwise::sum),
    entry("Transpose", &["perm"], shape::transpose),
    entry("Unsqueeze", &["axes"], shape::unsqueeze),
];

/// What to use instead of an operator that is not in the registry.
pub(super) fn nearest(operator: &str) -> String {
    let instead = match operator {
        "Elu" | "Selu" | "Gelu" | "Swish" | "HardSwish" | "Mish" | "Sigmoid" | "HardSigmoid"
        | "Tanh" | "Softplus" | "ThresholdedRelu" | "Celu" => "Relu, LeakyRelu or Clip",
        "LpPool" | "GlobalLpPool" => "AveragePool or MaxPool",
        "DeformConv" | "ConvInteger" | "QLinearConv" => "Conv",
        "QLinearMatMul" | "MatMulInteger" | "Einsum" => "MatMul with a constant matrix",
        "LayerNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "LRN"
        | "LpNormalization" => "BatchNormalization",
        "ReduceMin" => "ReduceMax of the negated values",
        "ReduceSum" => "ReduceMean",
        "Upsample" | "Resize" => "ConvTranspose",
        "DepthToSpace" | "SpaceToDepth" => "Reshape and Transpose",
        "TopK" => "ArgMax",
        "QuantizeLinear" | "DequantizeLinear" => "a model in floats",
        "If" | "Loop" | "Scan" => "a graph without control flow",
        _ => return "no operator that is near to it".to_owned(),
    };
    format!("use {instead}")
}
