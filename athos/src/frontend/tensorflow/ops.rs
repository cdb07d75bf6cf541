//! The registry: one function an operator.

mod elementwise;
mod linear;
mod pool;
mod shape;

use super::attributes::Attributes;
use super::call::{Call, Read};

type Reader = for<'a> fn(&mut Call<'a, '_>, Attributes<'a>) -> Read;

/// Operators by name.
pub(super) const REGISTRY: &[(&str, Reader)] = &[
    ("Abs", elementwise::abs),
    ("Add", elementwise::add),
    ("AddV2", elementwise::add),
    ("ArgMax", shape::arg_max),
    ("AvgPool", pool::average),
    ("AvgPool3D", pool::average),
    ("BiasAdd", elementwise::bias_add),
    ("Cast", elementwise::cast),
    ("CheckNumerics", elementwise::identity),
    ("ConcatV2", shape::concat),
    ("Const", shape::constant),
    ("Conv2D", linear::conv),
    ("Conv2DBackpropInput", linear::conv_transpose),
    ("Conv3D", linear::conv),
    ("Conv3DBackpropInputV2", linear::conv_transpose),
    ("DepthwiseConv2dNative", linear::depth_wise),
    ("ExpandDims", shape::expand_dims),
    ("FusedBatchNorm", linear::batch_norm),
    ("FusedBatchNormV2", linear::batch_norm),
    ("FusedBatchNormV3", linear::batch_norm),
    ("Identity", elementwise::identity),
    ("LeakyRelu", elementwise::leaky_relu),
    ("LogSoftmax", shape::log_softmax),
    ("MatMul", linear::mat_mul),
    ("Max", pool::reduce_max),
    ("MaxPool", pool::max),
    ("MaxPool3D", pool::max),
    ("Maximum", elementwise::maximum),
    ("Mean", pool::mean),
    ("Minimum", elementwise::minimum),
    ("MirrorPad", shape::mirror_pad),
    ("Mul", elementwise::mul),
    ("Neg", elementwise::neg),
    ("Pack", shape::pack),
    ("Pad", shape::pad),
    ("PadV2", shape::pad),
    ("PreventGradient", elementwise::identity),
    ("RealDiv", elementwise::div),
    ("Relu", elementwise::relu),
    ("Relu6", elementwise::relu6),
    ("Reshape", shape::reshape),
    ("Shape", shape::shape),
    ("Softmax", shape::softmax),
    ("Split", shape::split),
    ("Squeeze", shape::squeeze),
    ("StopGradient", elementwise::identity),
    ("StridedSlice", shape::strided_slice),
    ("Sub", elementwise::sub),
    ("Transpose", shape::transpose),
];

/// What to use instead of an operator that is not in the registry.
pub(super) fn nearest(operator: &str) -> String {
    let instead = match operator {
        "Elu" | "Selu" | "Sigmoid" | "Tanh" | "Softplus" | "Swish" => "Relu, Relu6 or LeakyRelu",
        "FusedBatchNormGrad" | "BatchNormWithGlobalNormalization" | "Rsqrt" | "LRN" => {
            "FusedBatchNorm with constant parameters"
        }
        "BatchMatMul" | "BatchMatMulV2" | "Einsum" => "MatMul with a constant matrix",
        "SpaceToBatchND" | "BatchToSpaceND" => "Conv2D with dilations",
        "ResizeBilinear" | "ResizeNearestNeighbor" => "Conv2DBackpropInput",
        "Sum" => "Mean",
        "Min" => "Max of the negated values",
        "Variable" | "VariableV2" | "VarHandleOp" | "ReadVariableOp" => "a frozen graph",
        "PartitionedCall"
        | "StatefulPartitionedCall"
        | "If"
        | "While"
        | "Switch"
        | "Merge"
        | "Enter"
        | "Exit"
        | "NextIteration" => "a graph without functions and control flow",
        _ => return "no operator that is near to it".to_owned(),
    };
    format!("use {instead}")
}
