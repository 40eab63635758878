"""The image Transformer: model, tokens, text encoder, decoder, sampling."""
