# Dagster (3000), the service (8000) and the web application (8501) in one image, and a proxy before them: pages and
# service by HTTPS (443), http:// redirected there (80), Dagster by HTTPS and with a password (3000).
#
#   docker build -t app .
#   docker run -p 80:80 -p 443:443 -p 8000:8000 -p 8501:8501 -p 3000:3000 -v vnyatno:/data --gpus all app
#   docker run -p 8000:8000 -v "$PWD/bundle.zip":/bundle.zip:ro app serve /bundle.zip
#
# Ports below 1024 are open to everybody in Docker's containers. Where they are not (`--network host`, some clusters),
# move them: -e VNYATNO_HTTP_PORT=8080 -e VNYATNO_HTTPS_PORT=8443 -p 80:8080 -p 443:8443
#
# As a custom container of Vertex AI (AIP_HTTP_PORT and its like are set) the service starts alone, with the bundle that
# AIP_STORAGE_URI names.
#
# Build arguments: BASE_IMAGE, any Debian with Python 3.11.2 to 3.14; TORCH, which build of PyTorch: `auto` takes the one
# with CUDA where the building machine has an NVIDIA driver, otherwise the small one for processors; cpu, cuda, default (the
# package index's, with CUDA) or a CUDA version of PyTorch's index (cu126) decide by hand.

ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}

RUN apt-get update \
 && apt-get install -y --no-install-recommends caddy tini \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /app
ARG TORCH=auto
ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements*.txt ./
COPY deploy/__init__.py deploy/
COPY deploy/install deploy/install
RUN python3 -m deploy.install --here --torch "$TORCH"

# In a container of Vertex AI bundles come from Cloud Storage.
RUN pip install "google-cloud-storage>=3.17,<4" -c requirements-dev.txt

# The weights of Whisper base, before the code that changes more often.
COPY speech/__init__.py speech/files.py speech/home.py speech/
COPY speech/whisper/__init__.py speech/whisper/ctranslate_file.py speech/whisper/openai_checkpoint.py \
     speech/whisper/weights.py speech/whisper/
RUN VNYATNO_WEIGHTS=/app/weights python -m speech.whisper.weights --openai

COPY . .
RUN python -m compileall -q api calls deploy pipeline speech tabular web \
 && useradd --uid 10001 --create-home vnyatno \
 && mkdir /data && chown vnyatno:vnyatno /data

ENV VNYATNO_HOME=/data \
    VNYATNO_HOST=0.0.0.0 \
    VNYATNO_PROXY=on \
    VNYATNO_WEIGHTS=/app/weights \
    HF_HOME=/data/cache/huggingface \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONUNBUFFERED=1

USER 10001
VOLUME /data
EXPOSE 80 443 3000 8000 8501
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=3 CMD ["python", "-m", "deploy.run.health"]
ENTRYPOINT ["tini", "--", "python", "-m", "deploy.run.launcher"]
CMD ["up"]
