"""Networks of torchvision, and of timm and transformers where they are installed, on real digits: all are healthy.

They begin with random weights, have ten classes, and get digits in three channels, as large as each network needs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from benchmarks.fault_programs.base import Program, Run, Supervised
from benchmarks.fault_programs.data import Data, digits, loaders

BATCH = 16
ROWS = 640

# The smallest images that each accepts, in pixels.
TORCHVISION = {
    "alexnet": 64, "vgg11": 32, "vgg11_bn": 32, "resnet18": 32, "resnet34": 32, "resnext50_32x4d": 32,
    "densenet121": 32, "googlenet": 32, "inception_v3": 75, "squeezenet1_0": 32, "squeezenet1_1": 32,
    "mobilenet_v2": 32, "mobilenet_v3_small": 32, "mobilenet_v3_large": 32, "shufflenet_v2_x0_5": 32,
    "shufflenet_v2_x1_0": 32, "mnasnet0_5": 32, "mnasnet1_0": 32, "efficientnet_b0": 32, "regnet_y_400mf": 32,
    "regnet_x_400mf": 32, "convnext_tiny": 32, "vit_b_16": 32, "swin_t": 32, "swin_v2_t": 64,
}  # fmt: skip
TIMM = {
    "resnet10t": 32, "convnext_atto": 32, "convnextv2_atto": 32, "efficientnet_lite0": 32, "ghostnet_050": 32,
    "mobilenetv4_conv_small": 32, "vit_tiny_patch16_224": 32, "deit_tiny_patch16_224": 32, "mixer_s32_224": 32,
    "cait_xxs24_224": 32, "poolformer_s12": 32, "regnetx_002": 32, "edgenext_xx_small": 64, "tinynet_e": 32,
    "nf_resnet26": 32, "lcnet_050": 32,
}  # fmt: skip
TRANSFORMERS = ("bert", "gpt2", "distilbert", "llama", "electra", "gpt_neox")


class Images(Supervised):
    """A network that may give further outputs while training, as Inception and GoogLeNet do."""

    def training_step(self, batch, batch_idx):
        x, y = batch
        out = self.net(x)
        main, *further = out if isinstance(out, tuple) else (out,)
        loss = F.cross_entropy(main, y) + 0.3 * sum(
            F.cross_entropy(more, y) for more in further if more is not None
        )
        self.log("train/loss", loss)
        return loss


def on_images(build: Callable[[], nn.Module], size: int) -> Run:
    def prepared(x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, size=(size, size), mode="bilinear").expand(-1, 3, -1, -1).contiguous()

    x, y, x_val, y_val = digits()
    data = Data(prepared(x[:ROWS]), y[:ROWS], prepared(x_val[:64]), y_val[:64])
    net = Images(build(), optimizer=partial(torch.optim.AdamW, lr=3e-4))
    return Run(net, *loaders(data, BATCH), epochs=1)


def torchvision_net(name: str) -> Run:
    further = {"vit_b_16": {"image_size": 32}, "inception_v3": {"aux_logits": False}}.get(name, {})
    build = partial(torchvision.models.get_model, name, weights=None, num_classes=10, **further)
    return on_images(build, TORCHVISION[name])


def timm_net(name: str) -> Run:
    import timm

    size = {"img_size": TIMM[name]} if name.startswith(("vit", "deit", "mixer", "cait")) else {}
    return on_images(partial(timm.create_model, name, pretrained=False, num_classes=10, **size), TIMM[name])


class Tokens(Supervised):
    """A network of transformers, which gives an output object with logits."""

    def forward(self, x):
        return self.net(input_ids=x).logits


def transformer(name: str) -> Run:
    """A small network of this kind reads a digit as 64 tokens, and answers with its class."""
    import transformers

    config = transformers.AutoConfig.for_model(name)
    sizes = {
        "vocab_size": 20, "hidden_size": 64, "n_embd": 64, "dim": 64, "embedding_size": 64, "num_hidden_layers": 2,
        "n_layer": 2, "n_layers": 2, "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_key_value_heads": 4,
        "intermediate_size": 128, "hidden_dim": 128, "max_position_embeddings": 64, "n_positions": 64, "num_labels": 10,
        "pad_token_id": 19, "bos_token_id": 18, "eos_token_id": 18,
    }  # fmt: skip
    for key, value in sizes.items():
        if hasattr(config, key):
            setattr(config, key, value)
    x, y, x_val, y_val = digits()
    low, step = x.min(), (x.max() - x.min()) / 16

    def tokens(images: torch.Tensor) -> torch.Tensor:
        return ((images - low) / step).round().long().flatten(1)

    net = transformers.AutoModelForSequenceClassification.from_config(config)
    module = Tokens(net, optimizer=partial(torch.optim.AdamW, lr=1e-3))
    return Run(module, *loaders(Data(tokens(x), y, tokens(x_val), y_val), BATCH))


def networks() -> dict[str, Program]:
    builders = {"torchvision": (torchvision_net, TORCHVISION)}
    if find_spec("timm"):
        builders["timm"] = (timm_net, TIMM)
    if find_spec("transformers"):
        builders["transformers"] = (transformer, dict.fromkeys(TRANSFORMERS))
    return {
        f"{family}.{name}": Program(f"{family}.{name}", partial(build, name), family=family)
        for family, (build, names) in builders.items()
        for name in names
    }


ZOO = networks()
