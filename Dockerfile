# HTCL in a container. Not built by any check: see docs/install.md.
#   docker build -t htcl .                                                           for a CPU
#   docker build -t htcl --build-arg BASE=nvidia/cuda:13.0.1-base-ubuntu22.04 .        for a GPU
# torch brings its own CUDA libraries: of a GPU's base, only what the container toolkit looks for counts.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

ENV DEBIAN_FRONTEND=noninteractive NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
# Python 3.11 is in the archives of both bases; the compiler is for mmcv, if it is compiled.
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
      ca-certificates g++ git make python3.11 python3.11-dev python3.11-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /htcl
# The environment first: it stays as it is while the code changes.
COPY Makefile pyproject.toml setup.py README.md ./
COPY requirements requirements
COPY tools/setup_env.sh tools/setup_env.sh
COPY projects projects
COPY configs configs
COPY pretrain pretrain
# The steps of a machine without a container; empty: with compiled operators.
ARG NO_COMPILER=1
RUN make setup NO_COMPILER=${NO_COMPILER}

COPY . .
RUN make setup
ENV PATH=/htcl/.venv/bin:${PATH}
CMD ["htcl", "--help"]
