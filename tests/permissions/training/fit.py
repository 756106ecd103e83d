print("nothing is learnt")
