"""The networks of layers/models in PyTorch, for the peers: the same layers, shapes and parameters."""
from torch import nn


def _classifier():
    return [nn.Linear(9216, 4096), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True)]


def paper():
    """The paper's network; LRN's alpha is times 5 because PyTorch divides it by the size."""
    norm = lambda: nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
    pool = lambda: nn.MaxPool2d(3, 2)
    relu = lambda: nn.ReLU(inplace=True)
    return nn.Sequential(
        nn.ZeroPad2d((0, 3, 0, 3)), nn.Conv2d(3, 96, 11, 4), relu(), norm(), pool(),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), relu(), norm(), pool(),
        nn.Conv2d(256, 384, 3, padding=1), relu(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), relu(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), relu(), pool(),
        nn.Flatten(), *_classifier(), nn.Dropout(), nn.Linear(4096, 1000))


def one_weird_trick():
    """torchvision's AlexNet, without the average pooling that changes nothing at 224 pixels."""
    pool = lambda: nn.MaxPool2d(3, 2)
    relu = lambda: nn.ReLU(inplace=True)
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), relu(), pool(), nn.Conv2d(64, 192, 5, padding=2), relu(), pool(),
        nn.Conv2d(192, 384, 3, padding=1), relu(), nn.Conv2d(384, 256, 3, padding=1), relu(),
        nn.Conv2d(256, 256, 3, padding=1), relu(), pool(),
        nn.Flatten(), nn.Dropout(), *_classifier(), nn.Linear(4096, 1000))


def keras():
    """The Keras notebook's: "same" padding in conv1 is 3 zeros before and 4 after."""
    pool = lambda: nn.MaxPool2d(3, 2)
    relu = lambda: nn.ReLU(inplace=True)
    return nn.Sequential(
        nn.ZeroPad2d((3, 4, 3, 4)), nn.Conv2d(3, 96, 11, 4), relu(), pool(),
        nn.Conv2d(96, 256, 5, padding=2), relu(), pool(),
        nn.Conv2d(256, 384, 3, padding=1), relu(), nn.Conv2d(384, 384, 3, padding=1), relu(),
        nn.Conv2d(384, 256, 3, padding=1), relu(), pool(),
        nn.Flatten(), nn.Dropout(), *_classifier(), nn.Linear(4096, 1000))


# Each with its number of parameters.
NETWORKS = {
    "paper": (paper, 60_965_224),
    "one-weird-trick": (one_weird_trick, 61_100_840),
    "keras": (keras, 62_378_344),
}


def build(name):
    make, parameters = NETWORKS[name]
    network = make()
    found = sum(p.numel() for p in network.parameters())
    if found != parameters:
        raise AssertionError(f"{name} has {found} parameters, not {parameters}")
    return network
