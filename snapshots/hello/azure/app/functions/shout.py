def handler(input):
    text = input["text"].upper() + "!"
    return {"text": text, "letters": sum(character.isalpha() for character in text)}
