"""What one writes first: a transformers pipeline behind FastAPI. The encoder has a fresh head; the work is the same.

uvicorn --app-dir benchmarks peer_pipeline:app
"""

import transformers
from fastapi import FastAPI
from pydantic import BaseModel

from model.encoder import find_encoder

transformers.logging.set_verbosity_error()
_folder = find_encoder().folder
_model = transformers.AutoModelForSequenceClassification.from_pretrained(_folder, num_labels=4, local_files_only=True)
_tokenizer = transformers.AutoTokenizer.from_pretrained(_folder, local_files_only=True)
_classify = transformers.pipeline("text-classification", model=_model, tokenizer=_tokenizer, top_k=None)

app = FastAPI()


class Body(BaseModel):
    """Sentences to classify."""

    sentences: list[str]


@app.get("/readyz")
def ready() -> None:
    """The model is loaded before this can be asked."""


@app.post("/v1/classify")
def classify(body: Body) -> dict[str, list[dict[str, float]]]:
    """Four scores a sentence."""
    found = _classify(body.sentences, batch_size=32, truncation=True, max_length=256, function_to_apply="sigmoid")
    return {"results": [{entry["label"]: entry["score"] for entry in answer} for answer in found]}
