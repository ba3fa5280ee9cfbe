# Dagster (3000) and the service (8000) in one image.
#
#   docker build -t app .
#   docker run -p 8000:8000 -p 3000:3000 -v vnyatno:/data --gpus all app
#   docker run -p 8000:8000 -v "$PWD/bundle.zip":/bundle.zip:ro app serve /bundle.zip
#
# Build arguments: BASE_IMAGE, any Debian with Python 3.11; TORCH, which build of torch: `default` is what pip finds
# (with CUDA on x86-64), anything else a backend that uv knows (cpu, cu126, cu130).

ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}

RUN apt-get update \
 && apt-get install -y --no-install-recommends caddy tini \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /app
ARG TORCH=default
ARG UV=0.13.9
COPY requirements.txt ./
RUN export PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 \
 && if [ "$TORCH" = default ]; then \
      pip install -r requirements.txt; \
    else \
      pip install "uv==$UV" \
      && uv pip install --system --no-cache --torch-backend "$TORCH" -r requirements.txt \
      && pip uninstall -y uv; \
    fi

# The weights of Whisper base, before the code that changes more often.
COPY speech/__init__.py speech/ctranslate_file.py speech/files.py speech/home.py speech/openai_checkpoint.py \
     speech/weights.py speech/
RUN VNYATNO_WEIGHTS=/app/weights PIP_NO_CACHE_DIR=1 python -m speech.weights --openai

COPY . .
RUN python -m compileall -q api calls deploy pipeline speech web \
 && useradd --uid 10001 --create-home vnyatno \
 && mkdir /data && chown vnyatno:vnyatno /data

ENV VNYATNO_HOME=/data \
    VNYATNO_HOST=0.0.0.0 \
    VNYATNO_WEIGHTS=/app/weights \
    VNYATNO_ARCHIVE_ROOTS=/data/archives:/app/samples \
    HF_HOME=/data/cache/huggingface \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONUNBUFFERED=1

USER 10001
VOLUME /data
EXPOSE 3000 8000
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=3 CMD ["python", "-m", "deploy.health"]
ENTRYPOINT ["tini", "--", "python", "-m", "deploy.launcher"]
CMD ["up"]
