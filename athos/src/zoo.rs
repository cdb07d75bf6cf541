//! Known architectures as code, with seeded random weights: for benchmarks of time and traffic, which
//! do not depend on what the weights are, where no trained file is at hand.
//!
//! Weights are drawn uniformly with the variance 2/fan-in (He et al., "Delving deep into rectifiers",
//! 2015), and batch normalisations damp residual branches, so that intermediate values keep the size
//! that they have in a trained network and fit the papers' bitwidths and scales.

mod densenet;
mod export;
mod network;
mod resnet;
mod small;
mod squeezenet;
mod unet;

pub use export::to_onnx;
pub use network::Weights;
pub use unet::UNet3d;

use crate::Result;
use crate::hlil::Graph;
use network::Network;

/// An architecture.
#[derive(Debug)]
pub struct Architecture {
    /// Its name on a command line.
    pub name: &'static str,
    /// What it is, for which input, from where.
    pub about: &'static str,
    build: fn(&mut Network) -> Result<()>,
}

impl Architecture {
    /// The float graph.
    ///
    /// # Errors
    /// [`crate::Error::Misuse`] if the architecture is ill-typed: a defect.
    pub fn graph(&self, weights: Weights) -> Result<Graph> {
        let mut network = Network::new(weights);
        (self.build)(&mut network)?;
        network.finish()
    }
}

impl UNet3d {
    /// The float graph of a 3D U-Net of this size.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] if the input is too small for its levels, or not even where it is
    /// halved.
    pub fn graph(&self, weights: Weights) -> Result<Graph> {
        let mut network = Network::new(weights);
        self.build(&mut network)?;
        network.finish()
    }
}

/// All of them.
pub static ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "squeezenet1_0",
        about: "SqueezeNet 1.0, 227x227 (Iandola et al. 2016)",
        build: squeezenet::v1_0,
    },
    Architecture {
        name: "squeezenet1_1",
        about: "SqueezeNet 1.1, 227x227 (Iandola et al. 2016)",
        build: squeezenet::v1_1,
    },
    Architecture {
        name: "resnet18",
        about: "ResNet-18, 224x224, 1000 classes (He et al. 2016)",
        build: |n| resnet::basic(n, [2, 2, 2, 2]),
    },
    Architecture {
        name: "resnet34",
        about: "ResNet-34, 224x224, 1000 classes (He et al. 2016)",
        build: |n| resnet::basic(n, [3, 4, 6, 3]),
    },
    Architecture {
        name: "resnet50",
        about: "ResNet-50 v1.5, 224x224, 1001 classes, as in CrypTFlow2 and Cheetah",
        build: |n| resnet::bottleneck(n, [3, 4, 6, 3]),
    },
    Architecture {
        name: "resnet101",
        about: "ResNet-101 v1.5, 224x224, 1001 classes",
        build: |n| resnet::bottleneck(n, [3, 4, 23, 3]),
    },
    Architecture {
        name: "resnet152",
        about: "ResNet-152 v1.5, 224x224, 1001 classes",
        build: |n| resnet::bottleneck(n, [3, 8, 36, 3]),
    },
    Architecture {
        name: "resnet200",
        about: "ResNet-200 v1.5, 224x224, 1001 classes",
        build: |n| resnet::bottleneck(n, [3, 24, 36, 3]),
    },
    Architecture {
        name: "densenet121",
        about: "DenseNet-121, 224x224, 1000 classes (Huang et al. 2017)",
        build: densenet::densenet121,
    },
    Architecture {
        name: "unet3d",
        about: "3D U-Net, 132x132x116 voxels, 3 classes a voxel (Çiçek et al. 2016)",
        build: |n| unet::PAPER.build(n),
    },
    Architecture {
        name: "unet3d_small",
        about: "3D U-Net of three levels and an eighth of the channels, 44x44x44 voxels",
        build: |n| unet::SMALL.build(n),
    },
    Architecture {
        name: "minionn_cifar10",
        about: "MiniONN's network for CIFAR-10, 32x32 (Liu et al. 2017, figure 13)",
        build: small::minionn_cifar10,
    },
    Architecture {
        name: "resnet32_cifar100",
        about: "ResNet-32, 32x32, 100 classes, as in Delphi (Mishra et al. 2020)",
        build: resnet::cifar100,
    },
    Architecture {
        name: "lenet_small",
        about: "LeNet with 16 and 16 filters, 28x28 (network B of SecureNN, Wagh et al. 2019)",
        build: |n| small::lenet(n, [16, 16], 100),
    },
    Architecture {
        name: "lenet_large",
        about: "LeNet with 20 and 50 filters, 28x28 (network C of SecureNN)",
        build: |n| small::lenet(n, [20, 50], 500),
    },
    Architecture {
        name: "secureml_mlp",
        about: "784-128-128-10 (SecureML, Mohassel and Zhang 2017; network A of SecureNN)",
        build: small::secureml_mlp,
    },
    Architecture {
        name: "logistic_regression",
        about: "784-10, softmax",
        build: small::logistic_regression,
    },
];

/// The architecture of this name.
pub fn find(name: &str) -> Option<&'static Architecture> {
    ARCHITECTURES.iter().find(|architecture| architecture.name == name)
}
