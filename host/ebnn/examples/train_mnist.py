"""A binarized network of your own on MNIST: copy this file, change the chain, run it."""

import numpy

import ebnn
from ebnn.train import BatchNorm, BinaryConv2D, BinaryDense, Config, Scores, chainer, fit, load, sign


class Net(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv1, self.bn1 = BinaryConv2D(1, 16, 5), BatchNorm(16)
            self.conv2, self.bn2 = BinaryConv2D(16, 32, 3), BatchNorm(32)
            self.dense, self.scores = BinaryDense(5 * 5 * 32, 10), Scores(10)

    def forward(self, x):  # uint8 images (N, 28, 28, 1)
        h = sign(self.bn1(self.conv1(x, pool=2)))
        h = sign(self.bn2(self.conv2(h, pool=2)))
        return self.scores(self.dense(h))


if __name__ == "__main__":
    numpy.random.seed(0)
    data = load("mnist")
    result = fit(Net(), data, Config(epochs=10, lr=0.12), "build/my_mnist")
    ebnn.export(result.chain, data.x_test, "build/my_mnist", data.labels, result.metrics)
    print(f"{result.metrics['test_accuracy']:.2%} of the test images; next: ebnn info build/my_mnist")
